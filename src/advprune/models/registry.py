"""Models by name: those of this package and a user's own ``package.module:callable``."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from advprune.choices import check_arguments, choose

Factory = Callable[..., nn.Module]
F = TypeVar("F", bound=Factory)

MODELS: dict[str, Factory] = {}


def register(name: str) -> Callable[[F], F]:
    """Make a class or function buildable as ``build(name, ...)``."""

    def keep(factory: F) -> F:
        if name in MODELS:
            raise ValueError(f"A model named {name!r} is registered already.")
        MODELS[name] = factory
        return factory

    return keep


def build(name: str, **arguments: Any) -> nn.Module:
    """Build a model and note on it how it was built.

    The model's ``architecture``, ``{"name": ..., "arguments": {...}}``, is plain JSON, and
    ``build(architecture["name"], **architecture["arguments"])`` gives a model of the same shape.
    For the models of this package it holds the defaults as well, so that it outlives a change
    of them.

    Args:
        name: A registered name, or ``package.module:callable``. The module is imported, which
            runs it; the current folder is searched too.
        arguments: What the model takes; values that JSON can hold.

    Raises:
        ValueError: If the name, an argument or what the callable gives is no good.
    """
    factory = _imported(name) if ":" in name else choose("model", name, MODELS)
    bound = check_arguments(f"Model {name!r}", factory, arguments)
    if name in MODELS:
        bound.apply_defaults()
        arguments = dict(bound.arguments)
    architecture = {"name": name, "arguments": _as_json(name, arguments)}
    model = factory(**arguments)
    if not isinstance(model, nn.Module):
        raise ValueError(f"{name!r} must return a torch.nn.Module, got {type(model).__name__}.")
    model.architecture = architecture  # type: ignore[assignment]  # torch types tensors only
    return model


def _as_json(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(json.dumps(arguments, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"The arguments of model {name!r} must fit in JSON: {error}.") from None
    return plain


def _imported(name: str) -> Factory:
    module_name, _, attribute = name.partition(":")
    with _current_folder_importable():
        try:
            module = importlib.import_module(module_name)
        except (ImportError, ValueError) as error:
            raise ValueError(
                f"Model {name!r}: cannot import {module_name!r} ({error}). Install it, put its"
                " folder on PYTHONPATH, or run from that folder."
            ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise ValueError(f"Model {name!r}: {module_name!r} has no callable named {attribute!r}.")
    return factory  # type: ignore[no-any-return]


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)

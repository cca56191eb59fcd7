"""Packages that only some ways of shipping need."""

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from types import ModuleType

EXTRAS = {
    "executorch": "executorch",
    "nncf": "openvino",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "openvino": "openvino",
    "optuna": "sweep",
}
"""Which extra of advprune brings a package."""


def need(module: str) -> ModuleType:
    """Import a module of an optional package.

    Raises:
        ValueError: If the package is missing or does not work here; names the extra to install.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:
        raise ValueError(
            f"this needs {package}, which cannot be imported ({error}): "
            f"pip install 'advprune[{EXTRAS[package]}]'"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings, logs and progress bars of converters, which no user can act on."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

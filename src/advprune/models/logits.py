"""What is asked of a model, one tensor of logits for one batch of images, and how it gets so."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from advprune.choices import check_count
from advprune.models.refusals import NoLogitsError

WRAPPER = "advprune.models.Logits"


class Logits(nn.Module):
    """A network of several outputs or inputs as one from images to logits.

    Attributes:
        network: As its makers built it.
    """

    def __init__(
        self, network: nn.Module, output: str | int | None = None, channels: Sequence[int] = ()
    ) -> None:
        """Wrap a network.

        Args:
            network: Any network.
            output: Which of its outputs the logits are: a field of its record or a key of its
                dict, or a place in its tuple; None is the field `logits`, or the first of a tuple.
            channels: Of a network with several inputs, how many channels of one image each gets, in
                order, such as (3, 1) for colour and depth; none is one input that gets all.

        Raises:
            ValueError: A number of channels is not positive, or the network takes more or fewer
                inputs.
        """
        super().__init__()
        for count in channels:
            check_count("channels", count)
        _check_inputs(network, max(1, len(channels)))
        self.network = network
        self.output = output
        self.channels = tuple(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Give logits (batch, classes) for images (batch, channels, height, width)."""
        if not self.channels:
            return chosen(self.network(x), self.output)
        if x.shape[1] != sum(self.channels):
            raise ValueError(
                f"the images have {x.shape[1]} channels; the network's inputs take "
                f"{' + '.join(map(str, self.channels))}"
            )
        return chosen(self.network(*torch.split(x, list(self.channels), dim=1)), self.output)


def chosen(answer: Any, output: str | int | None = None) -> Tensor:
    """Give the logits among what a network answers; see `Logits`.

    Raises:
        ValueError: There is no such output, or it is no tensor.
    """
    if output is None and isinstance(answer, Tensor):
        return answer
    parts = _parts(answer)
    found = parts.get(_default(answer, parts) if output is None else output)
    if not isinstance(found, Tensor):
        asked = "logits" if output is None else f"output {output!r}"
        raise NoLogitsError(f"the network answers with {_described(answer)}: no {asked} in it")
    return found


def logits_of(model: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    """Give what a classifier answers to images: logits (batch, classes).

    Raises:
        ValueError: As `answer_of`, or the answer has another shape.
    """
    answer = answer_of(model, x)
    if answer.dim() != 2:
        raise NoLogitsError(
            f"the model answers {tuple(answer.shape)} to {len(x)} images; "
            "allowed are logits of shape (batch, classes)"
        )
    return answer


def answer_of(model: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    """Give what a model answers to images: one tensor, (batch, ...).

    Args:
        model: A module, or any function.
        x: Images (batch, channels, height, width).

    Raises:
        ValueError: It takes other than one batch of images, or gives other than one tensor with a
            row an image; says what, and which wrapper makes it fit.
    """
    answer = asked(model, x)
    if not isinstance(answer, Tensor):
        raise NoLogitsError(
            f"{_name(model)} answers with {_described(answer)}, not one tensor of logits (batch, "
            f"classes): wrap it as {WRAPPER}(network{_suggested(answer)})"
        )
    if answer.shape[:1] != x.shape[:1]:
        raise NoLogitsError(
            f"the model answers {tuple(answer.shape)} to {len(x)} images; "
            "allowed are logits of shape (batch, classes)"
        )
    return answer


def asked(model: Callable[[Tensor], Any], x: Tensor) -> Any:
    """Give whatever a model answers to images.

    Raises:
        ValueError: It takes other than one batch of images; says what, and which wrapper helps.
    """
    try:
        return model(x)
    except TypeError:
        _check_inputs(model, 1)
        raise


def _check_inputs(model: Callable[..., Any], number: int) -> None:
    """Raises where a model does not take so many inputs."""
    try:
        signature = inspect.signature(model.forward if isinstance(model, nn.Module) else model)
    except ValueError:  # of a function that is not written in Python
        return
    try:
        signature.bind(*[None] * number)
    except TypeError as error:
        raise NoLogitsError(
            f"{_name(model)} takes ({', '.join(signature.parameters)}), not {number} "
            f"input{'s' * (number > 1)}: {error}; allowed is one batch of images (batch, channels, "
            f"height, width): where each input is some of its channels, wrap it as {WRAPPER}"
            "(network, channels=...), else in a module of your own that makes them from one"
        ) from error


def _parts(answer: Any) -> dict[str | int, Any]:
    """The outputs by field, key or place."""
    if isinstance(answer, Mapping):
        return dict(answer)
    if isinstance(answer, (tuple, list)):
        names = getattr(answer, "_fields", ())
        return {**dict(enumerate(answer)), **dict(zip(names, answer, strict=False))}
    if is_dataclass(answer):
        return {field.name: getattr(answer, field.name) for field in fields(answer)}
    return dict(getattr(answer, "__dict__", {}))


def _default(answer: Any, parts: Mapping[str | int, Any]) -> str | int:
    return 0 if isinstance(answer, (tuple, list)) and "logits" not in parts else "logits"


def _described(answer: Any) -> str:
    """The type and what it holds: names, or the types of what has none."""
    parts = _parts(answer)
    names = [name for name in parts if isinstance(name, str)]
    held = names or [type(part).__name__ for part in parts.values()]
    return f"{type(answer).__name__}({', '.join(held)})"


def _suggested(answer: Any) -> str:
    """How the wrapper is told which output to take, where it must be."""
    parts = _parts(answer)
    known = isinstance(parts.get(_default(answer, parts)), Tensor)
    return "" if known else ", output=..."


def _name(model: object) -> str:
    return getattr(model, "__name__", type(model).__name__)

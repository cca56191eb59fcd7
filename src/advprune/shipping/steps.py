"""A file's graph computed by torch, step by step, so that what ships has gradients of its own.

In an int8 file rounding is a step with no slope; its gradient is passed straight through where the
value lies within the range of the integers, and is 0 outside (Bengio, Léonard & Courville,
"Estimating or propagating gradients through stochastic neurons", 2013).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Operator = Callable[..., Tensor]


class UnknownOperatorError(ValueError):
    """A file takes a step that torch does not take here."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind = kind
        super().__init__(
            f"the operator {kind} of {name!r} has no gradient here; known are "
            f"{', '.join(sorted(known))}: give the network that was exported as a twin"
        )


class Steps(nn.Module):
    """A network as steps over named values, from images to logits.

    Args:
        operators: What computes each kind of step, called with its inputs and its attributes.

    Attributes:
        whose: Whose gradients these are, for the result of an evaluation.
    """

    whose = "its own graph, by torch"

    def __init__(self, operators: Mapping[str, Operator]) -> None:
        super().__init__()
        self._operators = operators
        self._constants: dict[str, Tensor] = {}
        self._steps: list[tuple[Operator, Sequence[str], str, Mapping[str, Any]]] = []
        self._input = self._output = ""

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, height, width)."""
        values = {**self._constants, self._input: images}
        for operator, inputs, output, attributes in self._steps:
            arguments = [values[name] if name else None for name in inputs]
            values[output] = operator(*arguments, **attributes)
        return values[self._output]

    def add(
        self,
        kind: str,
        name: str,
        inputs: Sequence[str],
        output: str,
        attributes: Mapping[str, Any],
    ) -> None:
        """Note a step; one whose inputs are all constant is made at once.

        Raises:
            UnknownOperatorError: If its kind is not known.
        """
        if kind not in self._operators:
            raise UnknownOperatorError(kind, name, self._operators)
        operator = self._operators[kind]
        if all(given in self._constants for given in inputs):
            held = [self._constants[given] for given in inputs]
            self._constants[output] = operator(*held, **attributes)
        else:
            self._steps.append((operator, inputs, output, attributes))


class _Round(torch.autograd.Function):
    """To the nearest integer, halves to the even one; the gradient passes straight through."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        return x.round()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        return gradients[0]


def rounded(x: Tensor) -> Tensor:
    """To the nearest integer, halves to the even one, with a slope of 1."""
    whole: Tensor = _Round.apply(x)  # type: ignore[no-untyped-call]
    return whole


def padded(x: Tensor, before: Sequence[int], after: Sequence[int], value: float) -> Tensor:
    """Images with (rows, columns) of a value added before and after."""
    pads = (before[1], after[1], before[0], after[0])
    return functional.pad(x, pads, value=value) if any(pads) else x


def average_pooled(
    x: Tensor,
    kernel: list[int],
    strides: list[int],
    pads: tuple[Sequence[int], Sequence[int]],
    *,
    ceil: bool,
    counts_padding: bool,
) -> Tensor:
    """The mean of each window; padding may count as zeros or not at all."""

    def mean(image: Tensor) -> Tensor:
        return functional.avg_pool2d(padded(image, *pads, 0), kernel, strides, 0, ceil)

    return mean(x) if counts_padding else mean(x) / mean(torch.ones_like(x[:1, :1]))


def reshaped(x: Tensor, shape: Tensor, *, zero_copies: bool) -> Tensor:
    """Another shape; a size of 0 may stand for the one that is there."""
    sizes = [
        x.shape[place] if size == 0 and zero_copies else size
        for place, size in enumerate(shape.tolist())
    ]
    return x.reshape(sizes)

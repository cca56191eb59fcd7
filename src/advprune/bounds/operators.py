"""What a network consists of for bounds: affine maps and ReLUs, nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


class Interval(NamedTuple):
    """Smallest and largest value of every element, both (batch, ...)."""

    lower: Tensor
    upper: Tensor

    def meet(self, other: "Interval") -> "Interval":
        """Returns what both intervals allow."""
        lower = torch.maximum(self.lower, other.lower)
        return Interval(lower, torch.maximum(lower, torch.minimum(self.upper, other.upper)))


@dataclass(frozen=True)
class Term:
    """One linear map L of an affine operator.

    Attributes:
        apply: x ↦ L x, (n, *in) to (n, *out).
        magnitude: x ↦ |L| x of the same shapes; `apply` itself where L has no negative entry.
        transpose: A ↦ A L, (batch, rows, *out) to (batch, rows, *in).
    """

    apply: Map
    magnitude: Map
    transpose: Map


@dataclass(frozen=True)
class Affine:
    """y = Σ Lᵢ xᵢ + t, a term for each input.

    Attributes:
        terms: the linear maps.
        offset: t, against which (n, *out) broadcasts; None is 0.
    """

    terms: tuple[Term, ...]
    offset: Tensor | None = None

    def interval(self, inputs: Sequence[Interval]) -> Interval:
        """Returns the exact range over the box of the inputs."""
        lowers, uppers = zip(*map(_range, self.terms, inputs), strict=True)
        shift = 0 if self.offset is None else self.offset
        return Interval(sum(lowers) + shift, sum(uppers) + shift)

    def shifted(self, coefficients: Tensor) -> Tensor | float:
        """Returns A t, (batch, rows), for coefficients A of the output, (batch, rows, *out)."""
        if self.offset is None:
            return 0.0
        return (coefficients * self.offset).flatten(2).sum(2)


class Relu:
    """y = max(x, 0), element by element."""

    def interval(self, inputs: Sequence[Interval]) -> Interval:
        """Returns the exact range over the box of the input."""
        (x,) = inputs
        return Interval(x.lower.relu(), x.upper.relu())


@dataclass(frozen=True)
class Step:
    """One operator of a network.

    Attributes:
        name: of its value.
        inputs: names of the values that it reads.
        operator: what it does.
        shortcut: a value whose interval gives this one's directly, and how, where that is tighter
            than what the operator makes of its inputs' intervals.
    """

    name: str
    inputs: tuple[str, ...]
    operator: Affine | Relu
    shortcut: tuple[str, Callable[[Interval], Interval]] | None = None


def _range(term: Term, x: Interval) -> Interval:
    if term.magnitude is term.apply:
        return Interval(term.apply(x.lower), term.apply(x.upper))
    centre = term.apply((x.lower + x.upper) / 2)
    radius = term.magnitude((x.upper - x.lower) / 2)
    return Interval(centre - radius, centre + radius)

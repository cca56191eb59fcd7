"""Linear bounds, from a value back to the image (CROWN; Zhang et al. 2018, arXiv 1811.00866)."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from advprune.bounds.interval import Intervals
from advprune.bounds.network import Network
from advprune.bounds.operators import Affine, Interval, Step
from advprune.bounds.region import Region
from advprune.bounds.steps import IMAGE

Slope = Callable[[str, Interval], Tensor]
"""(name of a ReLU, interval of its input) → slope of the line below it, (batch or 1, ...)."""


class Lines(NamedTuple):
    """Bounds A x + b on rows of a value, where x is the image.

    Attributes:
        coefficients: A, (batch, rows, channels, height, width).
        offset: b, (batch, rows).
    """

    coefficients: Tensor
    offset: Tensor


def adaptive(name: str, x: Interval) -> Tensor:
    """The slope 1 or 0 that leaves the smaller area (CROWN, section 3.4)."""
    del name
    return (x.upper > -x.lower).to(x.lower.dtype)


def fixed(name: str, x: Interval) -> Tensor:
    """The slope u / (u - l) of the line above too (Wong & Kolter 2018, arXiv 1711.00851)."""
    del name
    return above(x)[0]


def lower_lines(
    network: Network,
    rows: Mapping[str, Tensor],
    intervals: Intervals,
    slope: Slope = adaptive,
    multipliers: Mapping[str, Tensor] | None = None,
    met: dict[str, Tensor] | None = None,
) -> Lines:
    """Returns lines below `Σ rows[name] · value` over all images of the region.

    Args:
        network: whose values.
        rows: coefficients of each wanted value, (batch, rows, *shape).
        intervals: of every ReLU's input.
        slope: of the lines below unstable ReLUs, in [0, 1].
        multipliers: added to the coefficients of ReLUs' inputs, by the ReLU's name: Lagrange
            multipliers of constraints on their signs (Wang et al. 2021, arXiv 2103.06624).
        met: filled with the coefficients that met each ReLU's output, by its name.
    """
    waiting = dict(rows)
    offset: Tensor | float = 0.0
    for step in reversed(network.steps):
        coefficients = waiting.pop(step.name, None)
        if coefficients is None:
            continue
        if isinstance(step.operator, Affine):
            offset = offset + step.operator.shifted(coefficients)
            sources = [term.transpose(coefficients) for term in step.operator.terms]
        else:
            if met is not None:
                met[step.name] = coefficients
            source, shift = _relaxed(step, coefficients, intervals, slope)
            offset = offset + shift
            if multipliers is not None and step.name in multipliers:
                source = source + multipliers[step.name]
            sources = [source]
        for name, source in zip(step.inputs, sources, strict=True):
            waiting[name] = waiting[name] + source if name in waiting else source
    image = waiting[IMAGE]
    return Lines(image, offset + image.new_zeros(image.shape[:2]))


def lower_bounds(
    network: Network, rows: Mapping[str, Tensor], intervals: Intervals, region: Region, slope: Slope
) -> Tensor:
    """Returns the smallest values of `lower_lines` over the region, (batch, rows)."""
    lines = lower_lines(network, rows, intervals, slope)
    return region.minimum(lines.coefficients) + lines.offset


def elided(network: Network, rows: Tensor, intervals: Intervals) -> Tensor:
    """Returns bounds on rows of the logits by intervals alone, (batch, rows).

    The affine operators behind the last ReLUs are merged with the rows (Gowal et al. 2018, section
    3), then the box in front of them is used.

    Args:
        network: whose logits.
        rows: (batch, rows, classes).
        intervals: of the network.
    """
    waiting, bound = {network.output: rows}, rows.new_zeros(rows.shape[:2])
    for step in reversed(network.steps):
        if step.name not in waiting:
            continue
        coefficients = waiting.pop(step.name)
        if not isinstance(step.operator, Affine) or step.shortcut is not None:
            bound = bound + _over_box(coefficients, intervals.of(step.name))
            continue
        bound = bound + step.operator.shifted(coefficients)
        for name, term in zip(step.inputs, step.operator.terms, strict=True):
            source = term.transpose(coefficients)
            waiting[name] = waiting[name] + source if name in waiting else source
    if IMAGE in waiting:
        bound = bound + _over_box(waiting[IMAGE], intervals.of(IMAGE))
    return bound


def _over_box(coefficients: Tensor, box: Interval) -> Tensor:
    flat = coefficients.flatten(2)
    centre = ((box.lower + box.upper) / 2).flatten(1).unsqueeze(2)
    radius = ((box.upper - box.lower) / 2).flatten(1).unsqueeze(2)
    return (flat @ centre - flat.abs() @ radius).squeeze(2)


def _relaxed(
    step: Step, coefficients: Tensor, intervals: Intervals, slope: Slope
) -> tuple[Tensor, Tensor]:
    """Coefficients of the ReLU's input, and the offset of the lines that stand for it."""
    x = intervals.of(step.inputs[0])
    upper, at_zero = above(x)
    below = torch.where(x.lower >= 0, 1.0, torch.where(x.upper <= 0, 0.0, slope(step.name, x)))
    slopes = torch.where(coefficients >= 0, below.unsqueeze(1), upper.unsqueeze(1))
    negative = coefficients.clamp(max=0).flatten(2)
    shift = (negative @ at_zero.flatten(1).unsqueeze(2)).squeeze(2)
    return coefficients * slopes, shift


def above(x: Interval) -> tuple[Tensor, Tensor]:
    """Slope of the line above a ReLU, and its height at 0: u / (u - l) and -l u / (u - l)."""
    low, high = x.lower.clamp(max=0), x.upper.clamp(min=0)
    width = high - low
    slope = high / torch.where(width > 0, width, torch.ones_like(width))
    return slope, -low * slope

"""Lower bounds on margins z_y - z_k: where all are above 0, no allowed image changes the answer."""

from typing import NamedTuple

import torch
from torch import Tensor

from advprune.bounds.interval import Intervals
from advprune.bounds.linear import Slope, adaptive, elided, fixed, lower_bounds
from advprune.bounds.network import Network
from advprune.bounds.operators import Interval
from advprune.bounds.region import Region
from advprune.choices import choose

ROWS = 256
"""Rows of coefficients that go back to the image at once: what bounds the memory."""


def against(y: Tensor, classes: int, like: Tensor) -> Tensor:
    """Returns the rows e_y - e_k, (batch, classes, classes); that of the true class is 0."""
    eye = torch.eye(classes, dtype=like.dtype, device=like.device)
    return eye[y].unsqueeze(1) - eye


class Kind(NamedTuple):
    """How a bound is made.

    Attributes:
        slope: of the lines below ReLUs; None where there are intervals alone.
        refined: whether every ReLU's input gets linear bounds too, or intervals do for it.
    """

    slope: Slope | None
    refined: bool


BOUNDS: dict[str, Kind] = {
    "ibp": Kind(None, refined=False),
    "crown_ibp": Kind(adaptive, refined=False),
    "crown": Kind(adaptive, refined=True),
    "polytope": Kind(fixed, refined=True),
}
"""Interval bound propagation (Gowal et al. 2018, arXiv 1810.12715); CROWN-IBP (Zhang et al. 2020,
arXiv 1906.06316); CROWN (Zhang et al. 2018, arXiv 1811.00866); the convex outer polytope's dual at
its closed-form point (Wong & Kolter 2018, arXiv 1711.00851)."""


def margin_bounds(
    network: Network,
    region: Region,
    y: Tensor,
    classes: int,
    bound: str = "crown_ibp",
) -> Tensor:
    """Returns lower bounds on z_y - z_k over the region, (batch, classes), 0 for the true class.

    Linear bounds or those of intervals, whichever are better, margin by margin: none is looser than
    interval bounds.

    Args:
        network: the model.
        region: its images.
        y: (batch,) int64, the true classes.
        classes: number of classes.
        bound: name in `BOUNDS`.

    Raises:
        ValueError: an unknown bound.
    """
    kind = choose("bound", bound, BOUNDS)
    intervals, rows = Intervals(network, region), against(y, classes, region.x)
    within = elided(network, rows, intervals)
    if kind.slope is None:
        return within
    if kind.refined:
        refine(network, intervals, region, kind.slope)
    linear = lower_bounds(network, {network.output: rows}, intervals, region, kind.slope)
    return torch.maximum(linear, within)


def is_certified(margins: Tensor, y: Tensor) -> Tensor:
    """Returns (batch,) bool: every other class stays below the true one.

    Args:
        margins: from `margin_bounds`, (batch, classes).
        y: (batch,) int64, the true classes.
    """
    return margins.scatter(1, y.unsqueeze(1), torch.inf).amin(1) > 0


def refine(network: Network, intervals: Intervals, region: Region, slope: Slope = adaptive) -> None:
    """Narrows the interval of every ReLU's input by linear bounds, in place, first to last.

    Elements that no image of the batch leaves undecided are passed over.
    """
    for step in network.relus:
        (name,) = step.inputs
        before = intervals.of(name)
        undecided = ((before.lower < 0) & (before.upper > 0)).flatten(1).any(0).nonzero().flatten()
        if len(undecided):
            narrowed = _bounded(network, name, undecided, before, (intervals, region, slope))
            intervals.tighten(name, narrowed)


def _bounded(
    network: Network,
    name: str,
    elements: Tensor,
    before: Interval,
    how: tuple[Intervals, Region, Slope],
) -> Interval:
    batch, shape = len(before.lower), before.lower.shape[1:]
    lowers, uppers = [], []
    for chosen in torch.split(elements, ROWS):
        rows = before.lower.new_zeros(len(chosen), shape.numel())
        rows[torch.arange(len(chosen)), chosen] = 1
        rows = rows.view(1, len(chosen), *shape).expand(batch, -1, *shape)
        lowers.append(lower_bounds(network, {name: rows}, *how))
        uppers.append(-lower_bounds(network, {name: -rows}, *how))
    return Interval(
        _placed(before.lower, elements, torch.cat(lowers, 1)),
        _placed(before.upper, elements, torch.cat(uppers, 1)),
    )


def _placed(values: Tensor, elements: Tensor, new: Tensor) -> Tensor:
    return values.flatten(1).index_copy(1, elements, new).view_as(values)

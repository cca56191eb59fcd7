"""Upper bounds on the cross-entropy over all images that a threat allows: what training lowers."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from advprune.bounds.interval import Intervals
from advprune.bounds.linear import Slope, elided, lower_bounds
from advprune.bounds.margins import BOUNDS, against, refine
from advprune.bounds.network import Network
from advprune.bounds.region import Region
from advprune.choices import choose

SMALL, LARGE = 1e-6, 20.0
"""Widths of an interval between which the chord of exp is taken from its lower end."""


class Worst(NamedTuple):
    """What training needs to know about the worst images.

    Attributes:
        loss: upper bound on each image's cross-entropy, (batch,), with gradient.
        margins: lower bounds on its margins by intervals, (batch, classes).
    """

    loss: Tensor
    margins: Tensor


def worst_cross_entropy(
    network: Network,
    region: Region,
    y: Tensor,
    classes: int,
    bound: str = "crown_ibp",
    linear_share: float = 1.0,
) -> Worst:
    """Returns `s linear + (1 - s) interval` bounds on the cross-entropy.

    Of margins m_k below z_y - z_k, with m_y = 0, cross_entropy(-m, y) is the bound. Where ReLUs'
    inputs are bounded by intervals, the linear bound is taken on the loss itself, as `fused` says,
    which sends one row back to the image instead of one a class.

    Args:
        network: the model.
        region: its images.
        y: (batch,) int64, the true classes.
        classes: number of classes.
        bound: name in `BOUNDS`.
        linear_share: s.

    Raises:
        ValueError: an unknown bound.
    """
    kind = choose("bound", bound, BOUNDS)
    intervals, rows = Intervals(network, region), against(y, classes, region.x)
    margins = elided(network, rows, intervals)
    within = functional.cross_entropy(-margins, y, reduction="none")
    if kind.slope is None or linear_share == 0:
        return Worst(within, margins)
    if kind.refined:
        refine(network, intervals, region, kind.slope)
        linear = lower_bounds(network, {network.output: rows}, intervals, region, kind.slope)
        bounded = functional.cross_entropy(-linear, y, reduction="none")
    else:
        above = -elided(network, -rows, intervals)
        bounded = fused(network, (-above, -margins), rows, intervals, region, kind.slope)
    return Worst(linear_share * bounded + (1 - linear_share) * within, margins)


def fused(
    network: Network,
    ends: tuple[Tensor, Tensor],
    rows: Tensor,
    intervals: Intervals,
    region: Region,
    slope: Slope,
) -> Tensor:
    """Returns a linear bound on log Σ_k exp(d_k), d_k = z_k - z_y, with one row an image; (batch,).

    exp lies below its chord over [l_k, u_k]: exp(d) ≤ exp(l) + c (d - l), so
    Σ_k exp(d_k) ≤ Σ_k (exp(l_k) - c_k l_k) - min Σ_k c_k (z_y - z_k). Source: Xu et al. 2020
    (arXiv 2002.12920), loss fusion.

    Args:
        network: the model.
        ends: l and u, (batch, classes) each, 0 for the true class.
        rows: from `against`.
        intervals: of the network.
        region: its images.
        slope: of the lines below ReLUs.
    """
    low, high = ends
    largest = high.amax(1, keepdim=True).detach()  # taken out, so that nothing overflows
    at_low, width = (low - largest).exp(), (high - low).clamp(min=SMALL)
    narrow = width.clamp(max=LARGE)
    chord = torch.where(
        width < LARGE,
        at_low * narrow.expm1() / narrow,
        ((high - largest).exp() - at_low) / width,
    )
    row = (chord.unsqueeze(2) * rows).sum(1, keepdim=True)
    least = lower_bounds(network, {network.output: row}, intervals, region, slope).squeeze(1)
    total = (at_low - chord * low).sum(1) - least
    tiny = torch.finfo(total.dtype).tiny
    return total.clamp(min=tiny).log() + largest.squeeze(1)

"""Settling which units stay, so that the network meets its budget."""

from bisect import bisect_left
from collections.abc import Callable

import torch
from torch import Tensor

from advprune.gates.gated import GatedModel
from advprune.structure import Structure, living

ROUND_TO = {"macs": 1, "latency": 8}
"""What widths are multiples of, by target: processors compute eight float32 channels at a time."""

_HALVINGS = 7
"""Networks tried to meet a measured limit: its share of the MACs is then known to 1 %."""

_STEP = 0.98
"""Of a budget that the network is trimmed to, while it is over the budget once it is rounded up."""


def settle(
    gated: GatedModel, budget: float, score: Tensor | None = None, round_to: int = 1
) -> None:
    """Closes and opens gates so that the multiply-accumulates come up to a budget, not over it.

    Living units with the smallest scores go first while the network is too large; then
    whatever still fits comes back, largest scores first.

    Args:
        gated: the model, changed in place.
        budget: multiply-accumulates of one example, at most.
        score: (all units,), what ranks them; the gates' own scores where it is not given.
        round_to: widths are multiples of it, as `rounded` has it.

    Raises:
        ValueError: one unit a group is already more than the budget.
    """
    score = gated.scores() if score is None else score
    keep = within(gated.structure, gated.keep(), score, budget, round_to)
    for name, kept in gated.structure.split(keep).items():
        gate = gated.gates[name]
        gate.close(~kept)
        gate.revive(kept & ~gate.active().cpu())


def largest_share(fits: Callable[[float], bool], top: float = 1.0) -> float | None:
    """Returns the largest share of the multiply-accumulates that fits, by halving.

    Args:
        fits: says so of a share; whatever is smaller than one that fits is taken to fit.
        top: the first one tried.

    Returns:
        The share, known to a hundredth of `top`; None where none fitted.
    """
    found, share, too_large = 0.0, top, top
    for _ in range(_HALVINGS + 1):
        if fits(share):
            found = share
        else:
            too_large = share
        if found == too_large:
            break
        share = (found + too_large) / 2
    return found or None


def within(
    structure: Structure, keep: Tensor, score: Tensor, budget: float, round_to: int = 1
) -> Tensor:
    """Returns which units stay, (units,) bool, so that the network costs up to the budget.

    Args:
        structure: groups and layers.
        keep: (units,) bool, what stays where the budget leaves it.
        score: (units,), what a unit is worth; the least go first, the largest come back first.
        budget: multiply-accumulates of one example, at most.
        round_to: widths are multiples of it, as `rounded` has it.

    Raises:
        ValueError: one unit a group, or the least multiple, is already more than the budget.
    """
    closed = torch.zeros(structure.units, dtype=torch.bool)
    least = living(structure, closed, score)
    smallest = structure.macs(rounded(structure, least, score, round_to))
    if smallest > budget:
        units = "one unit" if round_to == 1 else f"at least one unit, rounded to {round_to},"
        raise ValueError(f"a budget of {budget:.0f} MACs: {units} a group takes {smallest} already")
    target = budget
    while target >= structure.macs(least):
        trimmed = _trimmed(structure, keep, least, score, target)
        found = rounded(structure, _filled(structure, trimmed, score, target), score, round_to)
        if structure.macs(found) <= budget:
            return found
        target *= _STEP
    return rounded(structure, least, score, round_to)


def rounded(structure: Structure, keep: Tensor, score: Tensor, round_to: int) -> Tensor:
    """Returns which units stay, (units,) bool, so that each width is a multiple of a number.

    Groups get their best units back, as far as they have any; a layer's own inputs are no width.

    Args:
        structure: groups and layers.
        keep: (units,) bool, what stays in any case.
        score: (units,), what a unit is worth; the largest come back first.
        round_to: what widths are to be multiples of.
    """
    made = torch.cat([layer.outputs for layer in structure.layers.values()])
    for group in structure.groups.values():
        kept = keep[group.span]
        missing = min(-int(kept.sum()) % round_to, int((~kept).sum()))
        if missing and group.start in made:
            order = score[group.span].masked_fill(kept, -torch.inf).argsort(descending=True)
            for unit in order[:missing].tolist():
                keep = _opened(structure, keep, score, group.start + unit)
    return keep


def _trimmed(
    structure: Structure, keep: Tensor, least: Tensor, score: Tensor, budget: float
) -> Tensor:
    """Returns what lives when as few units as will do are closed, smallest scores first."""
    order = score.masked_fill(least, torch.inf).argsort()

    def without(count: int) -> Tensor:
        smaller = keep.clone()
        smaller[order[:count]] = False
        return living(structure, smaller | (keep & least), score)

    enough = bisect_left(
        range(structure.units), True, key=lambda count: structure.macs(without(count)) <= budget
    )
    return without(enough)


def _filled(structure: Structure, keep: Tensor, score: Tensor, budget: float) -> Tensor:
    """Returns the units with whatever else fits, largest scores first."""
    refused = torch.zeros_like(keep)
    while True:
        extra = structure.unit_macs(keep)
        fits = ~keep & ~refused & (extra > 0) & (extra <= budget - structure.macs(keep))
        if not bool(fits.any()):
            return keep
        unit = int(score.masked_fill(~fits, -torch.inf).argmax())
        larger = _opened(structure, keep, score, unit)
        if structure.macs(larger) <= budget:
            keep = larger
        else:
            refused[unit] = True


def _opened(structure: Structure, keep: Tensor, score: Tensor, unit: int) -> Tensor:
    """Returns the units with one more, and its best gate at a reader whose own gates are shut."""
    larger = keep.clone()
    larger[unit] = True
    if bool(living(structure, larger, score)[unit]):
        return larger
    for layer in structure.layers.values():
        for own in layer.inputs[1:]:
            its = own[layer.inputs[0] == unit]
            if len(its):
                larger[its[score[its].argmax()]] = True
    return larger

"""Settling which units stay, so that the network meets its budget."""

import torch
from torch import Tensor

from advprune.gates.gated import GatedModel, living
from advprune.structure import Structure


def settle(gated: GatedModel, budget: float) -> None:
    """Closes and opens gates so that the multiply-accumulates come up to a budget, not over it.

    Living units with the smallest mean gates go first while the network is too large; then
    whatever still fits comes back, largest gates first.

    Args:
        gated: the model, changed in place.
        budget: multiply-accumulates of one example, at most.

    Raises:
        ValueError: one unit a group is already more than the budget.
    """
    structure, score = gated.structure, gated.means()
    closed = torch.zeros(structure.units, dtype=torch.bool)
    least = living(structure, closed, score)
    if structure.macs(least) > budget:
        raise ValueError(
            f"a budget of {budget:.0f} MACs: one unit a group takes {structure.macs(least)} already"
        )
    keep = _filled(
        structure, _trimmed(structure, gated.keep(), least, score, budget), score, budget
    )
    for name, kept in structure.split(keep).items():
        gate = gated.gates[name]
        gate.close(~kept)
        gate.revive(kept & ~gate.active().cpu())


def _trimmed(
    structure: Structure, keep: Tensor, least: Tensor, score: Tensor, budget: float
) -> Tensor:
    for unit in score.argsort().tolist():
        if structure.macs(keep) <= budget:
            break
        if keep[unit] and not least[unit]:
            smaller = keep.clone()
            smaller[unit] = False
            keep = living(structure, smaller, score)
    return keep


def _filled(structure: Structure, keep: Tensor, score: Tensor, budget: float) -> Tensor:
    for unit in score.argsort(descending=True).tolist():
        larger = keep.clone()
        larger[unit] = True
        if not keep[unit] and structure.macs(larger) <= budget:
            keep = larger
    return living(structure, keep, score)

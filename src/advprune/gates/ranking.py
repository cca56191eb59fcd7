"""What ranks units when a budget is settled, other than their gates."""

from collections.abc import Callable

import torch
from torch import Tensor

from advprune.gates.gated import GatedModel
from advprune.structure import Structure

_NOTHING = 1e-12


@torch.no_grad()
def magnitudes(gated: GatedModel) -> Tensor:
    """Returns the L1 norm of the weights that make each unit, (all units,), on the CPU.

    A unit that several layers make has the sum over them; one that only gates a layer's input, the
    norm of the weights that read it. Each group is divided by its mean, so that layers of different
    scale can be ranked together.

    Source: Li et al. 2017, "Pruning filters for efficient convnets" (arXiv 1608.08710), section 3.
    """
    structure = gated.structure
    made, read = (torch.zeros(structure.units + 1, dtype=torch.float64) for _ in range(2))
    for name, layer in structure.layers.items():
        weight = gated.model.get_parameter(f"{name}.weight").detach().abs().double().cpu()
        made.index_add_(0, layer.outputs, weight.flatten(1).sum(1))
        if len(layer.inputs[-1]) == weight.shape[1]:
            read.index_add_(0, layer.inputs[-1], weight.transpose(0, 1).flatten(1).sum(1))
    outputs = torch.cat([layer.outputs for layer in structure.layers.values()])
    norms = torch.where(torch.isin(torch.arange(len(made)), outputs), made, read)[:-1]
    groups = structure.split(norms)
    return structure.join({name: x / (x.mean() + _NOTHING) for name, x in groups.items()})


def even(structure: Structure) -> Tensor:
    """Returns scores, (units,), by which groups shrink alike: the place in the group over its size.

    Args:
        structure: of the network.
    """
    score = torch.zeros(structure.units)
    for group in structure.groups.values():
        score[group.span] = torch.arange(1, group.units + 1) / group.units
    return score


def uneven(structure: Structure, generator: torch.Generator) -> Tensor:
    """Returns scores, (units,), by which groups shrink at random: those of `even` to a power.

    The power a of each group is drawn, its logarithm uniform in [-1, 1]; where the smallest scores
    go up to one of t, a group loses `t^(1/a)` of its units.

    Args:
        structure: of the network.
        generator: draws the powers.
    """
    score = even(structure)
    for group in structure.groups.values():
        score[group.span] **= torch.exp(2 * torch.rand((), generator=generator) - 1)
    return score


CRITERIA: dict[str, Callable[[GatedModel], Tensor]] = {
    "gates": GatedModel.scores,
    "magnitude": magnitudes,
}
"""Scores of all units, (all units,), by name: the smallest go first."""

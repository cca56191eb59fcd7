"""Removing dead units from a gated model for good, while it trains."""

from collections.abc import Mapping

import torch
from torch import Tensor

from advprune.gates.gated import GatedModel
from advprune.structure.cut import shrink
from advprune.structure.resize import resize


def remove(gated: GatedModel, keep: Tensor) -> dict[str, dict[int, Tensor]]:
    """Removes units from every parameter, buffer and gate of a gated model, in place.

    Args:
        gated: the model.
        keep: (all units,) bool, the units that should stay; `kept_units` says which do.

    Returns:
        The kept indices by dimension of each parameter and buffer that holds units, by its name in
        the gated model: what an optimiser's state or an average of the parameters needs to follow.
    """
    structure = gated.structure
    keep = kept_units(gated, keep)
    kept = structure.kept_indices(keep)
    shrink(gated.model, structure, keep)
    followed = {f"model.{name}": dims for name, dims in kept.items()}
    for number, (name, units) in enumerate(structure.split(keep).items()):
        indices = units.nonzero().flatten()
        gate = gated.gates[name]
        own = {key: {0: indices} for key, value in gate.state_dict().items() if value.dim() == 1}
        resize(gate, own)
        gate.units = len(indices)
        followed |= {f"gate_list.{number}.{key}": dims for key, dims in own.items()}
        gated.original[name] = gated.original[name][indices]
    gated.board.structure = structure.restricted(keep)
    return followed


def kept_units(gated: GatedModel, keep: Tensor) -> Tensor:
    """Returns what `remove` would keep, (all units,) bool.

    The gates of a layer's own inputs follow what arrives there; those that are dead by themselves
    stay, closed, since the layer would need a gather without them.

    Args:
        gated: the model.
        keep: (all units,) bool, the units that should stay.
    """
    ones = torch.cat([keep.cpu(), torch.ones(1, dtype=torch.bool)])
    for layer in gated.structure.layers.values():
        for own in layer.inputs[1:]:
            ones[own] = ones[layer.inputs[0]]
    return ones[:-1]


def shape_state(gated: GatedModel) -> dict[str, list[int]]:
    """Returns, by group, which of its first units a gated model still has; it fits in JSON."""
    return {name: indices.tolist() for name, indices in gated.original.items()}


def restore(gated: GatedModel, state: Mapping[str, list[int]]) -> None:
    """Removes units from a freshly gated model until it has the shape of a saved one.

    Raises:
        ValueError: the state is not one of this model's.
    """
    groups = gated.structure.groups
    if set(state) != set(groups):
        raise ValueError(f"the state has groups {sorted(state)}; this model's are {sorted(groups)}")
    keep = {name: torch.zeros(group.units) for name, group in groups.items()}
    for name, indices in state.items():
        if not set(indices) <= set(range(groups[name].units)) or not indices:
            raise ValueError(f"group {name!r} keeps {indices} of {groups[name].units} units")
        keep[name][indices] = 1
    remove(gated, gated.structure.join(keep).bool())

"""Networks of given widths that were never trained: what a pruned one is compared with."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from advprune.choices import choose
from advprune.gates import GatedModel, gate
from advprune.pruning.slim import slim

_OWN = ".inputs"
"""How the group of a layer's own inputs is called, after the layer."""

Kept = Mapping[str, Sequence[int]]
"""By group, the numbers of the units that stay, as the manifest of a saved model tells them."""


def narrowed(model: nn.Module, kept: Kept, example_input: Tensor) -> nn.Module:
    """Returns the network with these units alone, as fresh as the given one.

    Weights and biases of each layer are those of the given network times `√(a / b)`, of its a
    inputs b being left, so that signals begin as large as in the whole network. Of weights drawn as
    torch draws them for convolutions and linear layers, it makes what it would draw at that width.

    Args:
        model: with its first weights; it is left as it is.
        kept: units by group; a group that is not named stays whole.
        example_input: images (batch, channels, height, width).

    Raises:
        ValueError: a group or a unit that is not there, or a group without units.
    """
    own = [name.removesuffix(_OWN) for name in kept if name.endswith(_OWN)]
    gated = gate(model, example_input, family="fixed", per_position=own)
    stay = {name: _mask(gated, name, units) for name, units in kept.items()}
    for name, units in stay.items():
        gated.gates[name].close(~units)
    small = slim(gated, example_input)
    _rescale(gated, small)
    return small


def _mask(gated: GatedModel, name: str, units: Sequence[int]) -> Tensor:
    there = choose("group of units", name, gated.gates).units
    if not units or not set(units) <= set(range(there)):
        raise ValueError(f"kept[{name!r}]={list(units)}; allowed are some of 0 to {there - 1}")
    return torch.isin(torch.arange(there), torch.tensor(units))


@torch.no_grad()
def _rescale(gated: GatedModel, small: nn.Module) -> None:
    whole, left = dict(gated.model.named_parameters()), dict(small.named_parameters())
    reads = {layer.parameter: layer.reads for layer in gated.structure.layers.values()}
    for name, dim in reads.items():
        if name in left:
            ratio = (whole[name].shape[dim] / left[name].shape[dim]) ** 0.5
            for value in {name, _bias_of(name)} & left.keys():
                left[value].mul_(ratio)


def _bias_of(weight: str) -> str:
    owner, dot, own = weight.rpartition(".")
    return f"{owner}{dot}{own.replace('weight', 'bias')}"

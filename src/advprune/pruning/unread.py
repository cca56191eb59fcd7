"""Cutting the units whose every reading weight is 0: what pruning of single weights leaves dead."""

import torch
from torch import Tensor, nn

from advprune.gates import gate
from advprune.pruning.slim import slim
from advprune.structure import Layer, Structure, UnsupportedModelError


def without_unread(model: nn.Module, example_input: Tensor) -> nn.Module:
    """Returns a plain network without the units that nothing reads, proven equal by `slim`.

    A unit is read where a weight at it that is not 0 leads to a unit that is read itself. The model
    itself is returned where there is no other, or where its graph cannot be analysed.

    Args:
        model: plain; it is left as it is.
        example_input: real images (batch, channels, height, width) for the comparison.
    """
    weights = [value for value in model.parameters() if value.dim() > 1]
    if all(bool(weight.all()) for weight in weights):
        return model
    try:
        gated = gate(model, example_input, family="fixed")
    except UnsupportedModelError:
        return model
    used = read(gated.model, gated.structure)
    if bool(used.all()):
        return model
    for name, units in gated.structure.split(used).items():
        gated.gates[name].close(~units)
    return slim(gated, example_input)


def read(model: nn.Module, structure: Structure) -> Tensor:
    """Returns which units are read, (units,) bool."""
    used = torch.ones(structure.units + 1, dtype=torch.bool)
    while True:
        now = torch.zeros_like(used)
        now[-1] = True
        for layer in structure.layers.values():
            now[layer.inputs[0][_open(model, layer, used)]] = True
        if torch.equal(now, used):
            return used[:-1]
        used = now


def _open(model: nn.Module, layer: Layer, used: Tensor) -> Tensor:
    """Returns which inputs of a layer reach an output that is read, (inputs,) bool."""
    if not layer.parameter:
        return torch.ones(len(layer.inputs[0]), dtype=torch.bool)
    weight = model.get_parameter(layer.parameter).detach().transpose(0, 1 - layer.reads)
    rows = (weight != 0).flatten(2).any(2) if weight.dim() > 2 else weight != 0
    alive = used[layer.outputs] if len(layer.outputs) == len(rows) else slice(None)
    return rows.cpu()[alive].any(0)

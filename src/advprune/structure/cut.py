"""Folding gates into weights and cutting what they close: the network as it would ship."""

import copy

import torch
from torch import Tensor, nn

from advprune.structure.network import GraphNetwork
from advprune.structure.plan import Structure
from advprune.structure.resize import names_of, resize, sliced, tensors_of
from advprune.structure.select import SelectedLinear


def shrink(model: nn.Module, structure: Structure, keep: Tensor) -> None:
    """Removes the units outside `keep`, (units,) bool, from a model, in place."""
    resize(model, structure.kept_indices(keep), structure.kept_counts(keep))
    if isinstance(model, GraphNetwork):
        model.rewrite(structure.kept_sizes(keep))


class CutNetwork:
    """A plain, smaller copy of a model that equals it with its units' values folded in.

    `W (m ∘ h) = (W diag m) h`: the value m of each unit multiplies the columns of the layers that
    read it; units outside `keep` are cut from every parameter and buffer.

    Attributes:
        network: the plain module, in eval mode, its parameters without gradient.
    """

    def __init__(self, model: nn.Module, structure: Structure, keep: Tensor) -> None:
        self._model = model
        self._structure = structure
        self._keep = keep
        tensors = tensors_of(model)
        self._same = names_of(tensors)
        self._kept = {
            name: {dim: kept for dim, kept in dims.items() if len(kept) < tensors[name].shape[dim]}
            for name, dims in structure.kept_indices(keep).items()
        }
        self.network = copy.deepcopy(model).eval().requires_grad_(False)
        shrink(self.network, structure, keep)

    def refresh(self, values: Tensor) -> nn.Module:
        """Copies the model's present weights, with the units' values folded in.

        Args:
            values: (units,), the present value of every unit's gate; those not kept count as 0.

        Returns:
            The network.
        """
        source = tensors_of(self._model)
        values = values.detach() * self._keep.to(values)
        values = torch.cat([values, values.new_ones(1)])
        factors = {
            alias: (layer.reads, layer.factor(values))
            for layer in self._structure.gated_layers.values()
            for alias in self._same[layer.parameter]
        }
        with torch.no_grad():
            targets = tensors_of(self.network)
            for name, tensor in source.items():
                kept = self._kept.get(name, {})
                value = sliced(tensor.detach(), kept)
                if name in factors:
                    dim, columns = factors[name]
                    columns = sliced(columns, {0: kept[dim]} if dim in kept else {})
                    shape = [-1 if place == dim else 1 for place in range(value.dim())]
                    value = value * columns.view(shape).to(value)
                targets[name].copy_(value)
        return self.network

    def select_inputs(self) -> dict[str, list[int]]:
        """Drops the inputs that only a layer's own gate closes; returns the kept ones by layer."""
        ones = torch.cat([self._keep, self._keep.new_ones(1)])
        selected = {}
        for name, layer in self._structure.layers.items():
            arriving = ones[layer.inputs[0]]
            wanted = layer.factor(ones)[arriving]
            if bool(wanted.all()):
                continue
            index = wanted.nonzero().flatten()
            parent, _, attribute = name.rpartition(".")
            linear = self.network.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            setattr(self.network.get_submodule(parent), attribute, SelectedLinear(linear, index))
            selected[name] = index.tolist()
        return selected

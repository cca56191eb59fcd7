"""Folding gates into weights and cutting what they close: the network as it would ship."""

import copy

import torch
from torch import Tensor, nn

from advprune.structure.plan import Structure
from advprune.structure.resize import resize, sliced
from advprune.structure.select import SelectedLinear


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
        tensors = _tensors(model)
        self._kept = {
            name: {dim: kept for dim, kept in dims.items() if len(kept) < tensors[name].shape[dim]}
            for name, dims in structure.kept_indices(keep).items()
        }
        self.network = copy.deepcopy(model).eval().requires_grad_(False)
        resize(self.network, self._kept)

    def refresh(self, values: Tensor) -> nn.Module:
        """Copies the model's present weights, with the units' values folded in.

        Args:
            values: (units,), the present value of every unit's gate; those not kept count as 0.

        Returns:
            The network.
        """
        source = _tensors(self._model)
        values = values.detach() * self._keep.to(values)
        values = torch.cat([values, values.new_ones(1)])
        factors = {
            f"{name}.weight": layer.factor(values)
            for name, layer in self._structure.gated_layers.items()
        }
        with torch.no_grad():
            for name, target in _tensors(self.network).items():
                kept = self._kept.get(name, {})
                value = sliced(source[name].detach(), kept)
                if name in factors:
                    columns = sliced(factors[name], {0: kept[1]} if 1 in kept else {})
                    value = value * columns.view(1, -1, *[1] * (value.dim() - 2)).to(value)
                target.copy_(value)
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


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    parameters = model.named_parameters(remove_duplicate=False)
    return {**dict(parameters), **dict(model.named_buffers(remove_duplicate=False))}

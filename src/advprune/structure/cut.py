"""Folding gates into weights and cutting what they close: the network as it would ship."""

import copy

import torch
from torch import Tensor, nn

from advprune.structure.plan import Layer, Structure
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
        self._kept = structure.kept_indices(keep)
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
        values = torch.where(self._keep.to(values.device), values, torch.zeros_like(values))
        factors = {
            f"{name}.weight": _columns(layer, values)
            for name, layer in self._structure.layers.items()
            if _gated(layer, self._structure.units)
        }
        with torch.no_grad():
            for name, target in _tensors(self.network).items():
                value = source[name].detach()
                if name in factors:
                    column = factors[name]
                    value = value * column.view(1, -1, *[1] * (value.dim() - 2)).to(value)
                target.copy_(sliced(value, self._kept.get(name, {})))
        return self.network

    def select_inputs(self) -> dict[str, list[int]]:
        """Drops the inputs that only a layer's own gate closes; returns the kept ones by layer."""
        ones = torch.cat([self._keep, self._keep.new_ones(1)])
        selected = {}
        for name, layer in self._structure.layers.items():
            arriving = ones[layer.inputs[0]]
            wanted = layer.open_inputs(ones)[arriving]
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
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _gated(layer: Layer, fixed: int) -> bool:
    return any(bool((factor != fixed).any()) for factor in layer.inputs)


def _columns(layer: Layer, values: Tensor) -> Tensor:
    extended = torch.cat([values, values.new_ones(1)])
    return torch.stack([extended[factor] for factor in layer.inputs]).prod(dim=0)

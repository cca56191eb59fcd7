"""What a model is made of: groups of units, the layers that read them, each parameter's slices.

One plan serves the gates, the cut network inside training and the slim network.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """Units that one gate decides on.

    Attributes:
        name: the first layer, in execution order, that makes the units.
        units: how many there are now.
        total: how many there were before any was removed.
        start: position of the first one in the vector of all units.
    """

    name: str
    units: int
    total: int
    start: int

    @property
    def span(self) -> slice:
        """Returns the group's place in the vector of all units."""
        return slice(self.start, self.start + self.units)


class Columns:
    """Takes columns out of a vector; a run in which each is repeated alike needs no gather.

    Args:
        index: (columns,), which ones.
    """

    def __init__(self, index: Tensor) -> None:
        self._index = index
        self._start, self._stop = int(index.min()), int(index.max()) + 1
        self._repeat = len(index) // (self._stop - self._start)
        run = torch.arange(self._start, self._stop).repeat_interleave(self._repeat)
        self._is_run = torch.equal(run, index)

    def of(self, values: Tensor) -> Tensor:
        """Returns the columns of the last dimension."""
        if not self._is_run:
            return values.index_select(-1, self._index.to(values.device))
        columns = values[..., self._start : self._stop]
        return columns if self._repeat == 1 else columns.repeat_interleave(self._repeat, dim=-1)


@dataclass(frozen=True)
class Layer:
    """A layer that reads units along one dimension of its weight and makes units along another.

    Attributes:
        module: qualified name of the layer.
        inputs: the units that decide on each input, one tensor (inputs,) a factor: first the units
            that arrive, then those of a gate on the layer's own inputs, if it has one.
        outputs: the unit of each output, (outputs,).
        pair_macs: multiply-accumulates, for one example, of one input feeding one output.
    """

    module: str
    inputs: tuple[Tensor, ...]
    outputs: Tensor
    pair_macs: int

    def factor(self, values: Tensor) -> Tensor:
        """Returns what multiplies each input: the product of its units' values, (..., inputs).

        Args:
            values: (..., units + 1), bool too (then an input is open where all its units are).
        """
        product = self._columns[0].of(values)
        for columns in self._columns[1:]:
            product = product * columns.of(values)
        return product

    @cached_property
    def _columns(self) -> tuple["Columns", ...]:
        return tuple(Columns(units) for units in self.inputs)


@dataclass(frozen=True)
class Structure:
    """Groups, layers and slicing plan of one model.

    Units are numbered through all groups; the number `units` stands for what always stays, so a
    vector of unit values is extended by a one before it is indexed.

    Attributes:
        groups: in execution order, by name.
        layers: convolutions and linear layers in execution order, by qualified name.
        slices: for each parameter or buffer, the units along each sliced dimension.
    """

    groups: Mapping[str, Group]
    layers: Mapping[str, Layer]
    slices: Mapping[str, Mapping[int, Tensor]] = field(default_factory=dict)

    @property
    def units(self) -> int:
        """Returns how many units there are in all groups."""
        return sum(group.units for group in self.groups.values())

    @cached_property
    def gated_layers(self) -> dict[str, Layer]:
        """Returns the layers that read at least one unit of a group."""
        return {
            name: layer
            for name, layer in self.layers.items()
            if bool((layer.inputs[0] < self.units).any())
        }

    def join(self, values: Mapping[str, Tensor]) -> Tensor:
        """Returns the groups' values, each (..., units of the group), as one (..., all units)."""
        return torch.cat([values[name] for name in self.groups], dim=-1)

    def split(self, vector: Tensor) -> dict[str, Tensor]:
        """Returns a vector over all units by group; the inverse of `join`."""
        return {name: vector[..., group.span] for name, group in self.groups.items()}

    def macs(self, keep: Tensor | None = None) -> int:
        """Returns the multiply-accumulates of all layers for one example.

        Args:
            keep: (units,) bool; all units where it is not given.
        """
        ones = self._extended(keep)
        return sum(
            layer.pair_macs * int(layer.factor(ones).sum()) * int(ones[layer.outputs].sum())
            for layer in self.layers.values()
        )

    def unit_macs(self, keep: Tensor | None = None) -> Tensor:
        """Returns, (units,), the multiply-accumulates that go when one unit goes.

        Units that are not kept get what would come back with them alone.
        """
        ones = self._extended(keep)
        sign = torch.where(ones, -1.0, 1.0).double()
        total = torch.zeros(self.units + 1, dtype=torch.float64)
        for layer in self.layers.values():
            made = torch.zeros_like(total).index_add_(
                0, layer.outputs, torch.ones(len(layer.outputs), dtype=torch.float64)
            )
            read = torch.zeros_like(total)
            for number, units in enumerate(layer.inputs):
                others = layer.inputs[:number] + layer.inputs[number + 1 :]
                open_ = torch.ones(len(units), dtype=torch.float64)
                for other in others:
                    open_ = open_ * ones[other]
                read.index_add_(0, units, open_)
            inputs, outputs = layer.factor(ones).sum(), ones[layer.outputs].sum()
            total += layer.pair_macs * (made * inputs + read * outputs + sign * made * read)
        return total[:-1]

    def restricted(self, keep: Tensor) -> "Structure":
        """Returns the structure after the units outside `keep`, (units,) bool, are removed."""
        ones = self._extended(keep)
        number = torch.cumsum(ones, dim=0) - 1

        def remaining(units: Tensor) -> Tensor:
            return number[units[ones[units]]]

        groups, start = {}, 0
        for name, group in self.groups.items():
            count = int(keep[group.span].sum())
            groups[name] = replace(group, units=count, start=start)
            start += count
        layers = {
            name: replace(
                layer,
                inputs=tuple(number[factor[ones[layer.inputs[0]]]] for factor in layer.inputs),
                outputs=remaining(layer.outputs),
            )
            for name, layer in self.layers.items()
        }
        slices = {
            name: {dim: remaining(units) for dim, units in dims.items()}
            for name, dims in self.slices.items()
        }
        return Structure(groups, layers, slices)

    def kept_indices(self, keep: Tensor) -> dict[str, dict[int, Tensor]]:
        """Returns, for each parameter or buffer, the indices that stay along each dimension."""
        ones = self._extended(keep)
        return {
            name: {dim: ones[units].nonzero().flatten() for dim, units in dims.items()}
            for name, dims in self.slices.items()
        }

    def with_input_gates(self, modules: tuple[str, ...]) -> "Structure":
        """Returns the structure with one more group for each named layer: its own inputs.

        Raises:
            ValueError: a name that is no linear layer reading a group.
        """
        groups, layers, start = dict(self.groups), dict(self.layers), self.units
        allowed = sorted(
            name
            for name, layer in layers.items()
            if layer.pair_macs == 1 and bool((layer.inputs[0] < self.units).all())
        )
        fixed = self.units
        for name in modules:
            if name not in allowed:
                raise ValueError(f"per_position={name!r}: not a linear layer here; {allowed} are")
            count = len(layers[name].inputs[0])
            groups[f"{name}.inputs"] = Group(f"{name}.inputs", count, count, start)
            own = torch.arange(start, start + count)
            layers[name] = replace(layers[name], inputs=(*layers[name].inputs, own))
            start += count
        return Structure(groups, layers, self.slices).with_fixed_moved(fixed, start)

    def with_fixed_moved(self, old: int, new: int) -> "Structure":
        """Returns the structure with another number for what always stays."""

        def moved(units: Tensor) -> Tensor:
            return torch.where(units == old, torch.full_like(units, new), units)

        layers = {
            name: replace(
                layer,
                inputs=(moved(layer.inputs[0]), *layer.inputs[1:]),
                outputs=moved(layer.outputs),
            )
            for name, layer in self.layers.items()
        }
        slices = {
            name: {dim: moved(units) for dim, units in dims.items()}
            for name, dims in self.slices.items()
        }
        return Structure(self.groups, layers, slices)

    def _extended(self, keep: Tensor | None) -> Tensor:
        kept = torch.ones(self.units, dtype=torch.bool) if keep is None else keep.bool().cpu()
        return torch.cat([kept, kept.new_ones(1)])

"""What a model is made of: groups of units, the layers that read them, each parameter's slices.

One plan serves the gates, the cut network inside training and the slim network.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from advprune.structure.parts import Group, Layer

Place = tuple[int, int | None]
"""Position of an argument, and of the number in it where it is a list."""

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Structure:
    """Groups, layers and slicing plan of one model.

    Units are numbered through all groups; the number `units` stands for what always stays, so a
    vector of unit values is extended by a one before it is indexed.

    Attributes:
        groups: in execution order, by name.
        layers: convolutions and linear layers in execution order, by qualified name.
        slices: for each parameter or buffer, the units along each sliced dimension.
        counts: for each attribute of a module that counts units, such as a convolution's groups,
            the units that it counts.
        spans: sets of units of which one must stay, so that no value is ever empty.
        sizes: for each step of the graph that has widths among its arguments, the units that each
            counts, by position; a network that runs the graph follows them.
        blocked: why a layer's outputs all stay, by the layer's name; the others can be pruned.
        hidden: layers on which no gate can sit: the class reads their weights without calling them,
            or chooses among their inputs itself.
    """

    groups: Mapping[str, Group]
    layers: Mapping[str, Layer]
    slices: Mapping[str, Mapping[int, Tensor]] = field(default_factory=dict)
    counts: Mapping[str, Tensor] = field(default_factory=dict)
    spans: tuple[Tensor, ...] = ()
    sizes: Mapping[str, Mapping[Place, Tensor]] = field(default_factory=dict)
    blocked: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()

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

    def groups_of(self, units: Tensor) -> list[str]:
        """Returns the names of the groups that hold any of some units."""
        return [
            name
            for name, group in self.groups.items()
            if bool(((units >= group.start) & (units < group.start + group.units)).any())
        ]

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
                arriving=None if layer.arriving is None else remaining(layer.arriving),
            )
            for name, layer in self.layers.items()
        }
        slices = _each(self.slices, remaining)
        return replace(
            self,
            groups=groups,
            layers=layers,
            slices=slices,
            counts={name: remaining(units) for name, units in self.counts.items()},
            spans=tuple(remaining(units) for units in self.spans),
            sizes=_each(self.sizes, remaining),
        )

    def kept_counts(self, keep: Tensor) -> dict[str, int]:
        """Returns the new value of each module's attribute that counts units."""
        ones = self._extended(keep)
        return {name: int(ones[units].sum()) for name, units in self.counts.items()}

    def kept_sizes(self, keep: Tensor) -> dict[str, dict[Place, int]]:
        """Returns the new widths among the arguments of the graph's steps."""
        ones = self._extended(keep)
        return _each(self.sizes, lambda units: int(ones[units].sum()))

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
        changed = replace(self, groups=groups, layers=layers)
        return changed.with_fixed_moved(fixed, start)

    def with_fixed_moved(self, old: int, new: int) -> "Structure":
        """Returns the structure with another number for what always stays."""

        def moved(units: Tensor) -> Tensor:
            return torch.where(units == old, torch.full_like(units, new), units)

        layers = {
            name: replace(
                layer,
                inputs=(moved(layer.inputs[0]), *layer.inputs[1:]),
                outputs=moved(layer.outputs),
                arriving=None if layer.arriving is None else moved(layer.arriving),
            )
            for name, layer in self.layers.items()
        }
        slices = _each(self.slices, moved)
        counts = {name: moved(units) for name, units in self.counts.items()}
        sizes = _each(self.sizes, moved)
        return replace(self, layers=layers, slices=slices, counts=counts, sizes=sizes)

    def _extended(self, keep: Tensor | None) -> Tensor:
        kept = torch.ones(self.units, dtype=torch.bool) if keep is None else keep.bool().cpu()
        return torch.cat([kept, kept.new_ones(1)])


def _each(
    tensors: Mapping[str, Mapping[Key, Tensor]], function: Callable[[Tensor], Value]
) -> dict[str, dict[Key, Value]]:
    return {
        name: {key: function(units) for key, units in places.items()}
        for name, places in tensors.items()
    }

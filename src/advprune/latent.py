"""Where latent features lie in a model, and what they are in a forward pass.

A latent feature is the gated value m ∘ h.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from advprune.gates import GatedModel
from advprune.gates.gated import Board
from advprune.models.parts import Latent
from advprune.structure import Layer, SelectedLinear, Structure, trace
from advprune.structure.input_gate import dimensions

_STRUCTURES: "WeakKeyDictionary[nn.Module, Structure]" = WeakKeyDictionary()


@dataclass(frozen=True)
class Feature:
    """A latent feature m ∘ h of one forward pass.

    Attributes:
        raw: h, (batch, units, ...), as it lies on the way to the logits.
        gate: m, (batch or 1, units, 1, ...), 0 for units that go when the network is cut; None
            where h already is gated.
        reading: where examples and units lie in h, which a layer was given; None where they lie
            along dimensions 0 and 1.
    """

    raw: Tensor
    gate: Tensor | None = None
    reading: "Reading | None" = None

    @property
    def value(self) -> Tensor:
        """Returns m ∘ h, (batch, units, ...)."""
        value = self.raw if self.gate is None else self.raw * self.gate.to(self.raw.dtype)
        return self.by_unit(value)

    def by_unit(self, x: Tensor) -> Tensor:
        """Returns what is shaped like `raw`, with units as dimension 1, (batch, units, ...)."""
        return x if self.reading is None else self.reading.by_unit(x)


@dataclass(frozen=True)
class Reading:
    """How a group's units lie in what its first reader is given.

    Attributes:
        layer: the reader.
        columns: (units, places), the channels of each unit; behind the last one are those that the
            reader does not read: they went with their gates.
        index: (channels,), those that the reader chooses of what it is given; None is all.
    """

    layer: Layer
    columns: Tensor
    index: Tensor | None = None

    def by_unit(self, x: Tensor) -> Tensor:
        """Returns (batch, units, places) of what is shaped like the reader's input.

        Raises:
            ValueError: the reader is given other channels than it reads, and does not say which.
        """
        rows = self.layer.examples.first(x, self.layer.channels)
        if self.index is not None:
            rows = rows.index_select(1, self.index)
        if rows.shape[1] != len(self.layer.given):
            raise ValueError(
                f"{self.layer.module} reads {len(self.layer.given)} of {rows.shape[1]} channels by"
                " itself, so that no vulnerability is taken there"
            )
        flat = self.columns.flatten()
        if not torch.equal(flat, torch.arange(rows.shape[1])):
            padded = torch.cat([rows, torch.zeros_like(rows[:, :1])], dim=1)
            rows = padded.index_select(1, flat.to(rows.device))
        return rows.reshape(len(rows), len(self.columns), -1)


Features = dict[str, Feature]


@contextmanager
def record(model: nn.Module, example_input: Tensor) -> Iterator[Features]:
    """While open, each forward pass leaves its latent features in the returned dict.

    Args:
        model: gated or plain.
        example_input: only used to find the places of a model that names none.
    """
    features: Features = {}
    keep = model.structure.split(model.keep()) if isinstance(model, GatedModel) else {}
    handles = [_attach(model, place, features, keep) for place in places(model, example_input)]
    try:
        yield features
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class Place:
    """Where a feature is recorded: a module's output, or the input of a group's first reader.

    Attributes:
        group: whose units it holds.
        gated: whether the group's gate multiplies what the module puts out.
        reading: of the layer whose input it is; None for a module's output.
    """

    name: str
    module: str
    group: str
    gated: bool = False
    reading: Reading | None = None


def places(model: nn.Module, example_input: Tensor) -> list[Place]:
    """Returns where a model's latent features are taken: where it says, else at its gates.

    Args:
        model: gated or plain.
        example_input: only used to find the places of a model that names none.
    """
    inner = model.model if isinstance(model, GatedModel) else model
    latent: tuple[Latent, ...] = getattr(inner, "latent", ())
    if latent and not _depends_on_input(model):  # such gates act where they are read
        return [Place(place.name, place.module, place.group, place.gated) for place in latent]
    structure = _structure(model, example_input)
    found = []
    for name, group in structure.groups.items():
        units = torch.arange(group.units) + group.start
        readers = [
            layer
            for layer in structure.layers.values()
            if bool(torch.isin(layer.inputs[0], units).any())
        ]
        if readers:  # a gate on a layer's own inputs acts where its channels' gate does
            first = readers[0]
            reading = Reading(first, first.columns(group))
            found.append(Place(name, first.module, name, reading=reading))
    return found


def _depends_on_input(model: nn.Module) -> bool:
    return model.depends_on_input if isinstance(model, GatedModel) else bool(dimensions(model))


def _structure(model: nn.Module, example_input: Tensor) -> Structure:
    if isinstance(model, GatedModel):
        return model.structure
    if model not in _STRUCTURES:
        _STRUCTURES[model] = trace(model, example_input)
    return _STRUCTURES[model]


def _attach(
    model: nn.Module, place: Place, features: Features, keep: Mapping[str, Tensor]
) -> RemovableHandle:
    inner = model.model if isinstance(model, GatedModel) else model
    if place.module not in dict(inner.named_modules(remove_duplicate=False)):
        raise ValueError(
            f"{place.module} is read without calling a layer, so that no vulnerability is taken of "
            f"{place.group}; it is of the network's graph: advprune.structure.graph_network"
        )
    module = inner.get_submodule(place.module)
    if place.reading is not None:
        return module.register_forward_pre_hook(partial(_before, features, place))
    board = model.board if isinstance(model, GatedModel) else None

    def after(_module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> None:
        features[place.name] = Feature(output, _factor(output, board, place, keep))

    return module.register_forward_hook(after)


def _before(
    features: Features, place: Place, module: nn.Module, inputs: tuple[Any, ...]
) -> tuple[Any, ...]:
    x: Tensor = inputs[0].view_as(inputs[0])  # what this reader alone sees, gated or not
    assert place.reading is not None
    index = module.index if isinstance(module, SelectedLinear) else None
    features[place.name] = Feature(x, reading=replace(place.reading, index=index))
    return (x, *inputs[1:])


def _factor(
    value: Tensor, board: Board | None, place: Place, keep: Mapping[str, Tensor]
) -> Tensor | None:
    if board is None or board.values is None or place.group not in keep:
        return None
    factor = keep[place.group].to(value).unsqueeze(0)
    if place.gated:
        factor = factor * board.values[:, board.structure.groups[place.group].span]
    return factor.view(*factor.shape, *[1] * (value.dim() - 2))

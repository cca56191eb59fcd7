"""Where latent features lie in a model, and what they are in a forward pass.

A latent feature is the gated value m ∘ h.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
        units: how many h holds, each with its positions side by side where these lie among them.
        reader: the layer that h was given to, which says where examples and units lie in it; None
            where they lie along dimensions 0 and 1.
    """

    raw: Tensor
    gate: Tensor | None = None
    units: int | None = None
    reader: Layer | None = None

    @property
    def value(self) -> Tensor:
        """Returns m ∘ h, (batch, units, ...)."""
        value = self.raw if self.gate is None else self.raw * self.gate.to(self.raw.dtype)
        return self.by_unit(value)

    def by_unit(self, x: Tensor) -> Tensor:
        """Returns what is shaped like `raw`, with units as dimension 1, (batch, units, ...)."""
        if self.reader is not None:
            x = self.reader.examples.first(x, self.reader.channels)
        if self.units is None or x.shape[1] % self.units:
            return x
        return x.reshape(len(x), self.units, -1)


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
        at_input: how many units a reader's input holds; None for a module's output.
        reader: the layer whose input it is.
    """

    name: str
    module: str
    group: str
    gated: bool = False
    at_input: int | None = None
    reader: Layer | None = None


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
            found.append(Place(name, first.module, name, at_input=group.units, reader=first))
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
    module = inner.get_submodule(place.module)
    if place.at_input is not None:
        return module.register_forward_pre_hook(partial(_before, features, place))
    board = model.board if isinstance(model, GatedModel) else None

    def after(_module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> None:
        features[place.name] = Feature(output, _factor(output, board, place, keep))

    return module.register_forward_hook(after)


def _before(
    features: Features, place: Place, module: nn.Module, inputs: tuple[Any, ...]
) -> tuple[Any, ...]:
    x: Tensor = inputs[0].view_as(inputs[0])  # what this reader alone sees, gated or not
    read = None
    if isinstance(module, SelectedLinear):  # what it leaves out went with its gate
        read = x.new_zeros(1, x.shape[1]).index_fill(1, module.index, 1.0)
    flat = place.at_input if place.reader and place.reader.channels == -1 else None
    features[place.name] = Feature(x, read, flat, place.reader)
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

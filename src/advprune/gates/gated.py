"""A model whose layers read their inputs through gates."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from advprune.gates.base import Gate
from advprune.structure import Layer, Structure, living


class Board:
    """Where the gates' present values hang while a forward pass runs.

    Attributes:
        values: (examples or 1, all units + 1), the last column open; None between passes.
        copies: how many counterparts of each example lie in the batch, one after another.
        structure: the units of each layer's inputs.
    """

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self.values: Tensor | None = None
        self.copies = 1

    @contextmanager
    def holding(self, values: Tensor) -> Iterator[None]:
        """While open, layers read their inputs through these (examples or 1, all units) values."""
        self.values = torch.cat([values, values.new_ones(len(values), 1)], dim=1)
        try:
            yield
        finally:
            self.values = None

    def factor(self, layer: Layer) -> Tensor:
        """Returns the gates of what the layer is given, (examples or 1, channels)."""
        assert self.values is not None
        return layer.gates(self.values)


class ApplyGates:
    """A forward pre-hook that multiplies a layer's input by its gates.

    An object, not a closure: `deepcopy` of the model then binds the copy to the copied board.
    """

    def __init__(self, board: Board, layer: str) -> None:
        self.board = board
        self.layer = layer

    def __call__(self, _module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Returns the gated input in place of the first one, while a gated pass runs."""
        if self.board.values is None:
            return None
        layer = self.board.structure.layers[self.layer]
        x: Tensor = inputs[0]
        return (x * _beside(self.board.factor(layer), x, layer.channels).to(x.dtype), *inputs[1:])


def _beside(factor: Tensor, x: Tensor, channels: int) -> Tensor:
    """Returns (examples, channels) factors in a shape that multiplies what a layer is given.

    Args:
        factor: one row an example, or one for all.
        x: the input; windows or crops of one example lie side by side along its first dimension.
        channels: the dimension of the input that the factors go along, 1 or -1.
    """
    if 1 < len(factor) < len(x):
        factor = factor.repeat_interleave(len(x) // len(factor), dim=0)
    others = [1] * (x.dim() - 2)
    shape = (*others, -1) if channels < 0 else (-1, *others)
    return factor.view(len(factor), *shape)


class GatedModel(nn.Module):
    """A model with one gate on each group of channels, at every layer that reads the group.

    In train mode each forward pass draws one sample a gate, shared by all its readers; in eval
    mode the expected gates stand in, so it is deterministic.

    Attributes:
        model: the model itself; called directly, it runs without gates.
        structure: groups, layers and slicing plan, as they are now.
    """

    def __init__(self, model: nn.Module, structure: Structure, gates: dict[str, Gate]) -> None:
        super().__init__()
        self.model = model
        self.gate_list = nn.ModuleList(gates[name] for name in structure.groups)
        self.board = Board(structure)
        for name in structure.gated_layers:
            model.get_submodule(name).register_forward_pre_hook(ApplyGates(self.board, name))
        self.original = {
            name: torch.arange(group.units) for name, group in structure.groups.items()
        }
        self.training = model.training

    @property
    def structure(self) -> Structure:
        """Returns groups, layers and slicing plan, as they are now."""
        return self.board.structure

    @property
    def gates(self) -> dict[str, Gate]:
        """Returns the gates by the name of their group."""
        return dict(zip(self.structure.groups, self._gates(), strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Returns what the model returns, with its layers' inputs gated."""
        values = self.sampled(x.shape[0]) if self.training else self.expected().unsqueeze(0)
        with self.board.holding(values):
            result: Tensor = self.model(x)
        return result

    @contextmanager
    def in_copies(self, copies: int) -> Iterator[None]:
        """While open, a batch holds each example `copies` times, block by block, sharing gates."""
        self.board.copies = copies
        try:
            yield
        finally:
            self.board.copies = 1

    def expected(self) -> Tensor:
        """Returns the expected value of every gate, (all units,)."""
        return torch.cat([gate.expected() for gate in self._gates()])

    def sampled(self, batch: int) -> Tensor:
        """Returns one draw of every gate for each example of a batch, (batch, all units)."""
        drawn = [gate.sample(batch // self.board.copies) for gate in self._gates()]
        return torch.cat(drawn, dim=1).repeat(self.board.copies, 1)

    @torch.no_grad()
    def keep(self) -> Tensor:
        """Returns which units stay when the network is cut now, (all units,) bool.

        A unit stays while its gate is active and some layer still reads it through open gates; a
        group never loses its last unit.
        """
        active = torch.cat([gate.active() for gate in self._gates()]).cpu()
        return living(self.structure, active, self.scores())

    @torch.no_grad()
    def scores(self) -> Tensor:
        """Returns how far each unit is from being cut, (all units,), on the CPU."""
        return torch.cat([gate.score() for gate in self._gates()]).cpu()

    def kl(self, weight: Tensor | None = None) -> Tensor:
        """Returns the KL divergence of all gates, 0-dim.

        Args:
            weight: (all units,) factor on each unit's divergence; 1 where it is not given.
        """
        divergence = torch.cat([gate.kl_per_unit() for gate in self._gates()])
        return (divergence if weight is None else divergence * weight).sum()

    def weight_parameters(self) -> list[nn.Parameter]:
        """Returns the model's own parameters that are trained."""
        return [value for value in self.model.parameters() if value.requires_grad]

    def gate_parameters(self) -> list[nn.Parameter]:
        """Returns the gates' parameters that are trained."""
        return [value for value in self.gate_list.parameters() if value.requires_grad]

    def _gates(self) -> list[Gate]:
        return [gate for gate in self.gate_list if isinstance(gate, Gate)]


def drop_gates(model: nn.Module) -> None:
    """Takes the gates' hooks off a model, in place; hooks of others stay."""
    for module in model.modules():
        hooks = module._forward_pre_hooks  # noqa: SLF001 - torch lists hooks nowhere else
        for key in [key for key, hook in hooks.items() if isinstance(hook, ApplyGates)]:
            del hooks[key]

"""A model whose layers read their inputs through gates."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from advprune.gates.base import Gate
from advprune.gates.passing import given_units, passed
from advprune.structure import Structure, UnsupportedModelError, living
from advprune.structure.input_gate import beside


class Board:
    """Where the gates' present values hang while a forward pass runs.

    Attributes:
        structure: the units of each layer's inputs.
        gates: by group, in the structure's order.
        values: (examples or 1, all units + 1), the last column open; None between passes.
        sampling: whether what depends on a layer's input is drawn, too.
        copies: how many counterparts of each example lie in the batch, one after another.
    """

    def __init__(self, structure: Structure, gates: nn.ModuleList) -> None:
        self.structure = structure
        self.gates = gates
        self.values: Tensor | None = None
        self.sampling = False
        self.copies = 1

    @property
    def of_group(self) -> dict[str, Gate]:
        """Returns the gates by the name of their group."""
        gates = [gate for gate in self.gates if isinstance(gate, Gate)]
        return dict(zip(self.structure.groups, gates, strict=True))

    @contextmanager
    def holding(self, values: Tensor, sampling: bool = False) -> Iterator[None]:
        """While open, layers read their inputs through these (examples or 1, all units) values."""
        self.values = torch.cat([values, values.new_ones(len(values), 1)], dim=1)
        self.sampling = sampling
        try:
            yield
        finally:
            self.values = None

    def factor(self, name: str, x: Tensor) -> Tensor:
        """Returns the gates of what a layer is given, in a shape that multiplies it.

        Args:
            name: of the layer.
            x: what it is given.

        Raises:
            UnsupportedModelError: a gate depends on examples that lie along another dimension than
                the first.
        """
        assert self.values is not None
        layer = self.structure.layers[name]
        chance = passed(self.of_group, self.structure, name, x, self.sampling, self.copies)
        if chance is None:
            return layer.beside(self.values, x)
        if layer.examples.dim:
            raise UnsupportedModelError(
                f"{name} is given examples along dimension {layer.examples.dim}; gates that depend"
                " on them find them along the first alone"
            )
        factor = layer.gates(layer.examples.spread(self.values) * chance)
        return factor.view(beside(x, layer.channels))


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
        x: Tensor = inputs[0]
        return (x * self.board.factor(self.layer, x).to(x.dtype), *inputs[1:])


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
        self.board = Board(structure, self.gate_list)
        for name, layer in structure.gated_layers.items():
            for group in structure.groups_of(torch.cat(given_units(layer))):
                gates[group].read_by(name)
            model.get_submodule(name).register_forward_pre_hook(ApplyGates(self.board, name))
        self.original = {
            name: torch.arange(group.units) for name, group in structure.groups.items()
        }
        self.training = model.training
        self.gate_list.train(model.training)

    @property
    def structure(self) -> Structure:
        """Returns groups, layers and slicing plan, as they are now."""
        return self.board.structure

    @property
    def gates(self) -> dict[str, Gate]:
        """Returns the gates by the name of their group."""
        return self.board.of_group

    @property
    def depends_on_input(self) -> bool:
        """Returns whether a part of the gates depends on what their readers are given."""
        return any(gate.passings for gate in self._gates())

    def forward(self, x: Tensor) -> Tensor:
        """Returns what the model returns, with its layers' inputs gated."""
        values = self.sampled(x.shape[0]) if self.training else self.expected().unsqueeze(0)
        with self.board.holding(values, sampling=self.training):
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
        return list(self.gates.values())


def drop_gates(model: nn.Module) -> None:
    """Takes the gates' hooks off a model, in place; hooks of others stay."""
    for module in model.modules():
        hooks = module._forward_pre_hooks  # noqa: SLF001 - torch lists hooks nowhere else
        for key in [key for key, hook in hooks.items() if isinstance(hook, ApplyGates)]:
            del hooks[key]

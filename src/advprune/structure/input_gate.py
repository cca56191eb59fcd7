"""A small gate in front of a layer of a plain network, which depends on what the layer is given."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

NAME = "input_gates"
"""Under which a network holds its gates."""


class InputGate(nn.Conv1d):
    """A factor on each unit that a layer is given: `clip(a · mean(x) + b, 0, 1)`.

    The mean runs over all that one example has of the unit. The affine map stands there as a
    convolution in groups of one, so that it is counted, stored, cut and exported as one.

    Attributes:
        weight: a, (units, 1, 1).
        bias: b, (units,).
        dimension: of what the layer is given along which its channels lie, 1 or -1.
        index: (channels,) int64, the unit of each channel; without it, each unit has equally many
            channels, side by side.

    Args:
        scale: a, (units,).
        shift: b, (units,).
        dimension: 1 or -1.
        index: see above.
    """

    index: Tensor | None

    def __init__(
        self, scale: Tensor, shift: Tensor, dimension: int = 1, index: Tensor | None = None
    ) -> None:
        units = len(scale)
        super().__init__(units, units, 1, groups=units, device="meta")  # draws no numbers there
        self.weight = nn.Parameter(scale.detach().clone().view(-1, 1, 1))
        self.bias = nn.Parameter(shift.detach().clone())
        self.dimension = dimension
        self.register_buffer("index", index)

    @torch.no_grad()
    def set(self, scale: Tensor, shift: Tensor) -> None:
        """Puts in other a and b, (units,) each."""
        self.weight.copy_(scale.view(-1, 1, 1))
        assert self.bias is not None
        self.bias.copy_(shift)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in nn.Conv1d
        """Returns what multiplies the input, in a shape that does so."""
        level = super().forward(self._means(means(input, self.dimension)).unsqueeze(-1))
        factor = self._spread(level.squeeze(-1).clamp(0, 1), input)
        return factor.view(beside(input, self.dimension))

    def _means(self, channels: Tensor) -> Tensor:
        if self.index is not None:
            return grouped_means(channels, self.index, self.in_channels)
        if channels.shape[1] == self.in_channels:
            return channels
        each = channels.shape[1] // self.in_channels
        return channels.reshape(-1, self.in_channels, each).mean(-1)

    def _spread(self, factor: Tensor, x: Tensor) -> Tensor:
        if self.index is not None:
            return factor.index_select(1, self.index)
        each = x.shape[self.dimension] // self.in_channels
        return factor if each == 1 else factor.unsqueeze(-1).expand(-1, -1, each).flatten(1)


class InputGates(nn.ModuleDict):
    """All gates of a network, by layer; in a sequence of modules it lets everything pass."""

    def forward(self, x: Tensor) -> Tensor:
        """Returns what it is given."""
        return x


class ApplyInputGates:
    """A forward pre-hook that multiplies what a layer is given by each of its gates.

    An object, not a closure: `deepcopy` of the network then binds the copy to the copied gates.
    """

    def __init__(self, gates: nn.ModuleList) -> None:
        self.gates = gates

    def __call__(self, _module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns the gated input in place of the first one."""
        x: Tensor = inputs[0]
        gated = x
        for gate in self.gates:
            gated = gated * gate(x)
        return (gated, *inputs[1:])


def attach(network: nn.Module, gates: Mapping[str, Iterable[InputGate]]) -> None:
    """Puts gates in front of layers, in place; the network holds them as `input_gates`.

    They are no parts of the layers, which so remain what they were to whoever looks at them.

    Args:
        network: plain.
        gates: by qualified name of the layer.

    Raises:
        ValueError: the network has something of that name already.
    """
    if hasattr(network, NAME):
        raise ValueError(f"the network has {NAME} already; allowed are networks without")
    held = {key_of(layer): nn.ModuleList(each) for layer, each in gates.items()}
    network.add_module(NAME, InputGates(held))
    for layer in gates:
        follow(network, layer)


def follow(network: nn.Module, layer: str) -> None:
    """Makes a layer that was put in place of another read through the gates of its name."""
    gates = network.get_submodule(f"{NAME}.{key_of(layer)}")
    assert isinstance(gates, nn.ModuleList)
    network.get_submodule(layer).register_forward_pre_hook(ApplyInputGates(gates))


def dimensions(network: nn.Module) -> dict[str, list[int]]:
    """Returns the `dimension` of each gate in front of each layer, by the layer's name."""
    held = getattr(network, NAME, None)
    if not isinstance(held, InputGates):
        return {}
    return {
        key.replace("/", "."): [g.dimension for g in gates.children() if isinstance(g, InputGate)]
        for key, gates in held.items()
    }


def key_of(layer: str) -> str:
    """Returns the key under which something is kept that belongs to a layer: it has no dots."""
    return layer.replace(".", "/")


def means(x: Tensor, dimension: int) -> Tensor:
    """Returns the mean over all but a batch and its channels, (batch, channels)."""
    kept = dimension % x.dim()
    others = [dim for dim in range(1, x.dim()) if dim != kept]
    return x.mean(others) if others else x


def grouped_means(channels: Tensor, index: Tensor, units: int) -> Tensor:
    """Returns the mean of each unit's channels, (batch, units), 0 where it has none.

    Args:
        channels: (batch, channels).
        index: (channels,), the unit of each.
        units: how many there are.
    """
    wide = index.unsqueeze(0).expand_as(channels)
    sums = channels.new_zeros(channels.shape[0], units).scatter_add(1, wide, channels)
    counts = channels.new_zeros(units).scatter_add(0, index, torch.ones_like(channels[0]))
    return sums / counts.clamp_min(1)


def beside(x: Tensor, dimension: int) -> tuple[int, ...]:
    """Returns the shape in which (examples, channels) factors multiply what a layer is given.

    Args:
        x: the input.
        dimension: of the input along which its channels lie, 1 or -1.
    """
    others = [1] * (x.dim() - 2)
    channels = x.shape[dimension]
    return (-1, *others, channels) if dimension < 0 else (-1, channels, *others)

"""Networks put together at random from the parts of the kit: cut exactly, or refused."""

import copy
from collections.abc import Callable, Sequence

import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.architectures.entry import lively
from tests.architectures.mobile import DenseExcitation, SqueezeExcitation
from torch import Tensor, nn

from advprune.gates import Fixed, gate
from advprune.pruning import slim
from advprune.structure import UnsupportedModelError

CLASSES = 3


class Added(nn.Module):
    """The sum of what branches make of one value."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([branch(x) for branch in self.branches]).sum(0)


class Concatenated(Added):
    """Their concatenation."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Twice(nn.Module):
    """One module, called on its own output."""

    def __init__(self, shared: nn.Module) -> None:
        super().__init__()
        self.shared = shared

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shared(torch.relu(self.shared(x)))
        return out


def _conv(channels: int, made: int, groups: int = 1) -> nn.Module:
    return nn.Conv2d(channels, made, 3, padding=1, groups=groups)


PARTS: dict[str, Callable[[int], nn.Module]] = {
    "conv": lambda c: _conv(c, 6),
    "wider": lambda c: _conv(c, 8),
    "grouped": lambda c: _conv(c, c, 2),
    "depthwise": lambda c: _conv(c, 2 * c, c),
    "batch norm": nn.BatchNorm2d,
    "group norm": lambda c: nn.GroupNorm(2, c),
    "instance norm": lambda c: nn.InstanceNorm2d(c, affine=True),
    "layer norm": lambda c: nn.GroupNorm(1, c),
    "relu": lambda _c: nn.ReLU(),
    "gelu": lambda _c: nn.GELU(),
    "residual": lambda c: Added(nn.Identity(), nn.Sequential(_conv(c, c), nn.ReLU(), _conv(c, c))),
    "sum": lambda c: Added(_conv(c, 6), nn.Conv2d(c, 6, 1)),
    "concat": lambda c: Concatenated(nn.Identity(), nn.Sequential(_conv(c, 4), nn.ReLU())),
    "max pool": lambda _c: nn.MaxPool2d(3, 1, 1),
    "average pool": lambda _c: nn.AvgPool2d(2, 1),
    "excitation": lambda c: SqueezeExcitation(c, 3, nn.Sigmoid()),
    "dense excitation": DenseExcitation,
    "shared": lambda c: Twice(_conv(c, c)),
    "shuffle": lambda _c: nn.ChannelShuffle(2),
    "transposed": lambda c: nn.ConvTranspose2d(c, 6, 2),
}
"""Every part takes an even number of channels and makes an even number."""


def network(parts: Sequence[str], flat: bool) -> nn.Module:
    """Chains parts, then flattens or averages, then two linear layers."""
    modules: list[nn.Module] = [_conv(1, 6)]
    for part in parts:
        modules.append(PARTS[part](_made(modules).shape[1]))
    modules += [nn.Flatten() if flat else nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    features = _made(modules).shape[1]
    return nn.Sequential(*modules, nn.Linear(features, 5), nn.ReLU(), nn.Linear(5, CLASSES))


@torch.no_grad()
def _made(modules: list[nn.Module]) -> Tensor:
    made: Tensor = nn.Sequential(*modules).eval()(torch.zeros(2, 1, 6, 6))
    return made


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    parts=st.lists(st.sampled_from(sorted(PARTS)), min_size=2, max_size=5),
    flat=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_random_gates_on_random_graphs_give_an_equal_network_or_none(
    parts: list[str], flat: bool, seed: int
) -> None:
    model = lively(network(parts, flat), seed).double().eval()
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(3, 1, 6, 6, generator=generator, dtype=torch.float64)
    try:
        gated = gate(model, images[:1], "fixed").eval()
    except UnsupportedModelError as refusal:
        event(f"refused: {str(refusal)[:60]}")
        return
    torch.testing.assert_close(gated(images), model(images), rtol=1e-10, atol=1e-12)
    for closed in (0.3, 0.7):
        trial = copy.deepcopy(gated)
        for one in trial.gates.values():
            assert isinstance(one, Fixed)
            values = torch.rand(one.units, generator=generator, dtype=torch.float64) + 0.5
            values[torch.rand(one.units, generator=generator) < closed] = 0
            one.values.copy_(values)
        expected = trial(images)
        difference = (slim(trial, images)(images) - expected).abs().max() / expected.abs().max()
        assert float(difference.detach()) <= 1e-10

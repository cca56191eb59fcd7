"""Tiny models with answers known by hand, traced once a session; tests get copies of them."""

import copy
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.gates import BetaBernoulli, Fixed, Gate, GatedModel, gate
from advprune.models.resnet import BasicBlock


@pytest.fixture(autouse=True, scope="module")
def _seeded_module() -> None:
    """Networks that a module's fixtures make do not depend on which tests ran before."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _seeded(_seeded_module: None) -> None:
    """Nor do those that a test makes."""
    torch.manual_seed(0)


class Chain(nn.Module):
    """conv1 1-3, batch norm, conv2 3-4, pool 4 to 2, flatten to 16, f1 16-5, f2 5-3; 4x4 images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 3, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(3)
        self.conv2 = nn.Conv2d(3, 4, 3, padding=1)
        self.f1 = nn.Linear(16, 5)
        self.f2 = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        logits: Tensor = self.f2(functional.relu(self.f1(torch.flatten(x, 1))))
        return logits


class Residual(nn.Module):
    """A stem of 4 channels, a block that adds to it, one that halves the image, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.same = BasicBlock(4, 4, 1)
        self.wider = BasicBlock(4, 6, 2)
        self.fc = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.wider(self.same(functional.relu(self.bn(self.stem(x)))))
        logits: Tensor = self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "chain": (Chain, ()),
    "positions": (Chain, ("f1",)),
    "residual": (Residual, ()),
}


def lively(model: nn.Module, seed: int) -> nn.Module:
    """Gives a model seeded weights and batch norms that are far from the identity."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data.copy_(torch.randn(tensor.shape, generator=generator) * 0.5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
    return model.eval()


@cache
def _gated(name: str) -> GatedModel:
    make, per_position = NETS[name]
    return gate(lively(make(), 1), torch.rand(2, 1, 4, 4), "fixed", per_position)


def fixed(name: str) -> GatedModel:
    return copy.deepcopy(_gated(name))


def learned(name: str) -> GatedModel:
    """Returns the same model with Beta-Bernoulli gates, without tracing it again."""
    known = fixed(name)
    gates: dict[str, Gate] = {
        name: BetaBernoulli(group.units) for name, group in known.structure.groups.items()
    }
    return GatedModel(lively(NETS[name][0](), 1), known.structure, gates)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(7))


@pytest.fixture
def make_chain() -> type[nn.Module]:
    return Chain


@pytest.fixture
def chain() -> GatedModel:
    """A chain with 3 + 4 + 5 fixed gates."""
    return fixed("chain")


@pytest.fixture
def positions() -> GatedModel:
    """A chain with 3 + 4 + 5 fixed gates, and 16 on the inputs of f1."""
    return fixed("positions")


@pytest.fixture
def residual() -> GatedModel:
    """A residual network with 4 + 4 + 6 + 6 fixed gates."""
    return fixed("residual")


@pytest.fixture
def learned_chain() -> GatedModel:
    return learned("chain")


@pytest.fixture
def learned_positions() -> GatedModel:
    return learned("positions")


@pytest.fixture(params=sorted(NETS))
def gated(request: pytest.FixtureRequest) -> GatedModel:
    """Each of the networks, with random fixed gates of which a third are closed."""
    model = fixed(request.param)
    generator = torch.Generator().manual_seed(11)
    for module in model.gates.values():
        assert isinstance(module, Fixed)
        values = torch.rand(module.units, generator=generator)
        module.values.copy_(torch.where(values < 1 / 3, torch.zeros_like(values), values))
    return model

"""Small networks of every operator that bounds know, and threats in all norms."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.models import Normalize
from advprune.models.resnet import BasicBlock
from advprune.threat import ThreatModel


class Everything(nn.Module):
    """Normalisation, a strided and a grouped convolution, batch norm, both kinds of pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.normalize = Normalize((0.4, 0.6), (0.5, 0.25))
        self.conv1 = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(self.normalize(x)))), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(2 * x - 0.5)), 3, 1, padding=1)
        x = functional.adaptive_avg_pool2d(functional.avg_pool2d(x, 2), 1)
        logits: Tensor = self.fc(x.flatten(1))
        return -logits + 1


class Residual(nn.Module):
    """A stem and a residual block that halves the image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 3, 3, padding=1)
        self.block = BasicBlock(3, 4, 2)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(functional.relu(self.stem(x)))
        logits: Tensor = self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


NETS: dict[str, Callable[[], nn.Module]] = {"everything": Everything, "residual": Residual}


def lively(model: nn.Module, seed: int = 1) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for tensor in [*model.parameters(), *model.buffers()]:
        if (tensor.is_floating_point() and tensor.dim() != 4) or tensor.numel() > 2:
            tensor.data.copy_(torch.randn(tensor.shape, generator=generator) * 0.6)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def nets() -> dict[str, nn.Module]:
    return {name: lively(make()) for name, make in NETS.items()}


@pytest.fixture
def pictures() -> Tensor:
    return torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(3))


def wide(norm: str, eps: float) -> ThreatModel:
    """A threat whose pixels never meet their bounds."""
    return ThreatModel(norm, eps, bounds=(-100.0, 100.0))

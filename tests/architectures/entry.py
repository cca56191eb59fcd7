"""What an architecture of the kit is, and the kit itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from advprune.models import build

Builder = TypeVar("Builder", bound=Callable[[], nn.Module])


@dataclass(frozen=True)
class Architecture:
    """A small network of one architecture, and what is expected of it.

    Attributes:
        name: Of the class or function that builds it.
        builder: `package.module:callable`.
        shape: Of its images, (channels, height, width).
        floor: Share of the MACs that must go when all gates are closed; None while unknown.
        refused: What the refusal must say; None where it must be gated.
    """

    name: str
    builder: str
    shape: tuple[int, int, int]
    floor: float | None
    refused: str | None

    def model(self) -> nn.Module:
        """Builds the network, in eval mode, with weights under which every part matters."""
        return lively(build(self.builder)).eval()

    def images(self, batch: int = 3) -> Tensor:
        """Draws seeded images, (batch, channels, height, width)."""
        return torch.rand(batch, *self.shape, generator=torch.Generator().manual_seed(1))


ARCHITECTURES: dict[str, Architecture] = {}


def architecture(
    shape: tuple[int, int, int] = (3, 8, 8),
    *,
    floor: float | None = None,
    refused: str | None = None,
) -> Callable[[Builder], Builder]:
    """Registers the builder of an architecture under its own name; see `Architecture`."""

    def register(builder: Builder) -> Builder:
        name = builder.__name__
        assert name not in ARCHITECTURES, name
        path = f"{builder.__module__}:{name}"
        ARCHITECTURES[name] = Architecture(name, path, shape, floor, refused)
        return builder

    return register


@torch.no_grad()
def lively(model: nn.Module, seed: int = 0) -> nn.Module:
    """Gives a model seeded weights and statistics far from the identity, in place.

    Libraries start norms at 1 and 0, layer scales near 0 and attention near uniform, which would
    hide mistakes.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        if not value.is_floating_point():
            continue
        if value.dim() > 1 and not _constant(value):
            fan_in = value[0].numel()
            value.copy_(torch.randn(value.shape, generator=generator) * fan_in**-0.5)
        elif name.endswith(("bias", "running_mean")):
            value.copy_(torch.rand(value.shape, generator=generator) - 0.5)
        elif isinstance(value, nn.Parameter) or name.endswith("running_var"):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return model


def _constant(value: Tensor) -> bool:
    return value.numel() > 0 and bool((value == value.flatten()[0]).all())

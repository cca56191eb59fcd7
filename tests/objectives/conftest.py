"""Answers known by hand: 3 to 1 for class 0 on clean images, 1 to 1 on attacked ones."""

import math

import pytest
import torch
from torch import Tensor, nn

from advprune.objectives import Batch


class Odds(nn.Module):
    """Two classes on one pixel: logits (pixel · log 3, bias), so the pixel sets the odds."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        first = x.flatten(1) * math.log(3.0)
        return torch.cat([first, self.bias.expand_as(first)], dim=1)


class Darkening:
    """An adversary that blackens all pixels and notes what it was asked to move away from."""

    def __init__(self) -> None:
        self.asked: list[Tensor | str | None] = []

    def __call__(self, x: Tensor, y: Tensor, /, away_from: Tensor | str | None = None) -> Tensor:
        self.asked.append(away_from)
        return torch.zeros_like(x)


@pytest.fixture
def odds() -> nn.Module:
    return Odds()


@pytest.fixture
def darkening() -> Darkening:
    return Darkening()


@pytest.fixture
def pixels() -> Batch:
    """Two white pixels, of class 0 and of class 1."""
    return Batch(torch.ones(2, 1, 1, 1), torch.tensor([0, 1]))

"""A network with everything that a stored graph must carry, exported once."""

import copy
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.structure import GraphNetwork, graph_network


class Everything(nn.Module):
    """Batch norm, dropouts of two kinds, a layer called twice, tied weights, a hard-coded width."""

    offset: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.average = nn.BatchNorm2d(4, momentum=None)
        self.maps, self.units = nn.Dropout2d(0.4), nn.Dropout(0.5, inplace=True)
        self.hidden, self.out = nn.Linear(16, 4), nn.Linear(4, 3)
        self.tied = nn.Linear(4, 3, bias=False)
        self.tied.weight = self.out.weight
        self.hidden.bias.requires_grad_(False)
        self.register_buffer("offset", torch.rand(4, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn(self.first(x)))
        x = self.average(self.again(functional.relu(self.again(x)))) + self.offset
        x = functional.max_pool2d(self.maps(x), 2).view(-1, 16)
        x = functional.relu(self.units(self.hidden(x)))
        logits: Tensor = self.out(x) + self.tied(functional.dropout(x, 0.2, self.training))
        return logits


@cache
def _pair() -> tuple[nn.Module, GraphNetwork]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Everything()
    return model, graph_network(model, torch.rand(1, 1, 4, 4))


@pytest.fixture
def everything() -> nn.Module:
    return copy.deepcopy(_pair()[0])


@pytest.fixture
def everything_as_graph() -> GraphNetwork:
    return copy.deepcopy(_pair()[1])

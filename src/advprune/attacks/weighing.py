"""How much distance counts beside the model's answer, from one search to the next."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from advprune.attacks.best import Nearest

HUGE = 1e10
"""Weight of the answer beyond which an image is given up in l2, as in the published code."""
LARGEST = 100.0
"""The same in linf."""
LEAST = 1 / 256
"""Reach, as a share of the pixels' range, below which nothing smaller is sought, as published."""


class Weighing(ABC):
    """What is minimised beside weight · max(κ - margin, 0), and with which weight.

    Args:
        nearest: the batch and what was found so far.
        weight: of the first search.

    Attributes:
        ends: whether a search ends where it has met its goal.
        weight: c, (batch,).
        open: images for which another search may bring more, (batch,) bool.
    """

    ends: ClassVar[bool]

    def __init__(self, nearest: Nearest, weight: float) -> None:
        self.nearest = nearest
        self.weight = torch.full_like(nearest.distance, weight)
        self.open = nearest.distance > 0

    @abstractmethod
    def start(self, rows: Tensor) -> Tensor:
        """Where a search of those rows starts, (rows, channels, height, width)."""

    @abstractmethod
    def cost(self, delta: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """What those rows' perturbations cost, (rows,), and its gradient, like `delta`."""

    @abstractmethod
    def met(self, costs: Tensor, fooled: Tensor) -> Tensor:
        """Where a search has met its goal, (rows,), given costs and which images fool."""

    @abstractmethod
    def learn(self, rows: Tensor, met: Tensor) -> None:
        """Choose the next search's weights from where this one met its goal, (rows,)."""


class Bisected(Weighing):
    """‖δ‖₂², with the weight bisected between one that fools and one that does not."""

    ends = False

    def __init__(self, nearest: Nearest, weight: float) -> None:
        super().__init__(nearest, weight)
        self.low, self.high = torch.zeros_like(self.weight), torch.full_like(self.weight, math.inf)

    def start(self, rows: Tensor) -> Tensor:
        """The images themselves."""
        return self.nearest.original[rows]

    def cost(self, delta: Tensor, _rows: Tensor) -> tuple[Tensor, Tensor]:
        """‖δ‖₂² and 2 δ."""
        return delta.flatten(1).square().sum(1), 2 * delta

    def met(self, _costs: Tensor, fooled: Tensor) -> Tensor:
        """Where an image fools, however far; the search goes on for a smaller sum."""
        return fooled

    def learn(self, rows: Tensor, met: Tensor) -> None:
        """Half of the way down or up; ten times as much while nothing fools."""
        weight = self.weight[rows]
        self.high[rows] = torch.where(met, weight, self.high[rows])
        self.low[rows] = torch.where(met, self.low[rows], weight)
        between = (self.low[rows] + self.high[rows]) / 2
        self.weight[rows] = torch.where(self.high[rows] < math.inf, between, 10 * weight)
        self.open &= self.weight <= HUGE


class Reach(Weighing):
    """Σ max(|δ| - τ, 0), with the reach τ lowered where it fools and the weight doubled elsewhere.

    The norm itself has a gradient at its largest pixel alone, so that pixels take turns.
    """

    ends = True

    def __init__(self, nearest: Nearest, weight: float) -> None:
        super().__init__(nearest, weight)
        low, high = nearest.threat.bounds
        self.least = LEAST * (high - low)
        self.reach = torch.full_like(self.weight, high - low)

    def start(self, rows: Tensor) -> Tensor:
        """The nearest that fool, else the images themselves."""
        return self.nearest.x[rows]

    def cost(self, delta: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Σ max(|δ| - τ, 0) and the sign of δ where it is beyond τ."""
        beyond = delta.abs() - self.reach[rows][:, None, None, None]
        return beyond.clamp(min=0).flatten(1).sum(1), delta.sign() * (beyond > 0)

    def met(self, costs: Tensor, fooled: Tensor) -> Tensor:
        """Where one fools within its reach."""
        return fooled & (costs <= 0)

    def learn(self, rows: Tensor, met: Tensor) -> None:
        """A reach of nine tenths of what fooled; twice the weight where nothing did."""
        reach, distance = self.reach[rows], self.nearest.distance[rows]
        within = met | (distance < reach)
        self.reach[rows] = torch.where(within, 0.9 * torch.minimum(reach, distance), reach)
        self.weight[rows] *= torch.where(within, 1.0, 2.0).to(self.weight)
        self.open &= (self.weight <= LARGEST) & (self.reach >= self.least)


WEIGHINGS: dict[str, type[Weighing]] = {"l2": Bisected, "linf": Reach}

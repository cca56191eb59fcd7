"""Adam on images that stay within the range of the pixels by themselves."""

import math

import torch
from torch import Tensor

INSIDE = 0.999999
"""Share of the pixels' range that is left to tanh, whose ends lie at infinity."""
DECAYS = (0.9, 0.999)
BARELY = 1e-4
"""Share by which a sum must fall to count as falling."""


class Descent:
    """Images x = low + (high - low) (tanh(w) + 1) / 2 whose w Adam moves, each by itself.

    Source: Kingma & Ba, "Adam" (2015), algorithm 1; the change of variable and when to stop are
    Carlini & Wagner's (2017), section V.B, and their code's.

    Args:
        start: first images, (rows, channels, height, width), within the bounds.
        rows: which image of the batch each stands for, (rows,).
        bounds: smallest and largest value of a pixel.
        learning_rate: step in w.
    """

    def __init__(
        self, start: Tensor, rows: Tensor, bounds: tuple[float, float], learning_rate: float
    ) -> None:
        self.rows, self.bounds, self.learning_rate = rows, bounds, learning_rate
        low, high = bounds
        self.place = torch.atanh(INSIDE * (2 * (start - low) / (high - low) - 1))
        self.mean, self.square = torch.zeros_like(start), torch.zeros_like(start)
        self.least = start.new_full((len(rows),), math.inf)
        self.steps = 0

    def images(self) -> Tensor:
        """Where the descent stands, like the start."""
        low, high = self.bounds
        return (low + (high - low) / 2 * (self.place.tanh() + 1)).clamp_(low, high)

    def step(self, gradient: Tensor) -> None:
        """One step of Adam against the gradient with respect to the images."""
        low, high = self.bounds
        slope = gradient * (high - low) / 2 * (1 - self.place.tanh().square())
        self.steps += 1
        first, second = DECAYS
        self.mean = slope.lerp(self.mean, first)
        self.square = slope.square().lerp(self.square, second)
        size = (self.square / (1 - second**self.steps)).sqrt() + 1e-8
        self.place = self.place - self.learning_rate / (1 - first**self.steps) * self.mean / size

    def stalled(self, sums: Tensor) -> Tensor:
        """Which rows' sums have hardly fallen since this was last asked, (rows,)."""
        stalled = sums > (1 - BARELY) * self.least
        self.least = sums
        return stalled

    def keep(self, kept: Tensor) -> None:
        """Go on with those rows alone, (rows,) bool."""
        if not kept.all():
            names = ("rows", "place", "mean", "square", "least")
            for name in names:
                setattr(self, name, getattr(self, name)[kept])

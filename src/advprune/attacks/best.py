"""The best image found so far for each of a batch."""

import math

import torch
from torch import Tensor

from advprune.threat import ThreatModel


class Best:
    """For each image of a batch one that fools or, where none is found, one of the highest loss.

    Args:
        x: the images themselves, (batch, channels, height, width).

    Attributes:
        x: the best images, like the given ones.
        fooled: whether each fools the model, (batch,) bool.
        loss: their losses, (batch,); -infinity before the first offer.
        latest: the loss last offered for each, (batch,).
    """

    def __init__(self, x: Tensor) -> None:
        self.x = x.clone()
        self.fooled = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        self.loss = torch.full((len(x),), -math.inf, device=x.device)
        self.latest = torch.zeros(len(x), device=x.device)

    def left(self) -> Tensor:
        """Rows of the batch whose best image does not fool, (rows,)."""
        return (~self.fooled).nonzero().squeeze(1)

    def offer(self, rows: Tensor, x: Tensor, losses: Tensor, fooled: Tensor) -> None:
        """Take images that are better than what there is.

        Args:
            rows: which image of the batch each stands for, (offers,).
            x: the images, (offers, channels, height, width).
            losses: their losses, (offers,).
            fooled: whether they fool the model, (offers,).
        """
        losses = losses.to(self.loss.dtype)
        self.latest[rows] = losses
        if len(rows) > 1 and not (rows.diff() > 0).all():
            rows, x, losses, fooled = self._one_each(rows, x, losses, fooled)
        before = self.fooled[rows]
        better = (fooled & ~before) | ((fooled == before) & (losses > self.loss[rows]))
        chosen = rows[better]
        self.x[chosen] = x[better]
        self.loss[chosen] = losses[better]
        self.fooled[chosen] = fooled[better]

    def _one_each(
        self, rows: Tensor, x: Tensor, losses: Tensor, fooled: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The best offer for each image."""
        order = losses.argsort()
        order = order[fooled[order].to(torch.int8).argsort(stable=True)]
        places = torch.arange(len(rows), device=rows.device)
        last = places.new_full((len(self.x),), -1).scatter_reduce_(0, rows[order], places, "amax")
        chosen = order[last[last >= 0]]
        return rows[chosen], x[chosen], losses[chosen], fooled[chosen]


class Nearest:
    """For each image of a batch the nearest image found that fools.

    Args:
        threat: whose norm measures.
        x: the images themselves, (batch, channels, height, width).
        fooled: which of them fool already, (batch,).

    Attributes:
        x: the nearest images, like the given ones.
        distance: how far they are, (batch,); infinite where none was found.
    """

    def __init__(self, threat: ThreatModel, x: Tensor, fooled: Tensor) -> None:
        self.threat = threat
        self.original = x
        self.x = x.clone()
        self.distance = torch.where(fooled, 0.0, math.inf).to(x)

    def within(self) -> Tensor:
        """Which of them the threat allows, (batch,) bool."""
        return self.distance <= self.threat.eps

    def allowed(self) -> Tensor:
        """The nearest images where the threat allows them, elsewhere the images themselves."""
        return torch.where(self.within()[:, None, None, None], self.x, self.original)

    def offer(self, rows: Tensor, x: Tensor) -> None:
        """Take those fooling images, of those rows of the batch, that are nearer than before."""
        distances = self.threat.distance(x, self.original[rows])
        self.distance.scatter_reduce_(0, rows, distances, "amin")
        nearer = (distances == self.distance[rows]) & (distances > 0)
        self.x[rows[nearer]] = x[nearer]

"""The best iterate of a search."""

import math

import torch
from torch import Tensor


class Best:
    """The best image found for each of a batch: one that fools, then one of the highest loss.

    Args:
        x: the images themselves, returned where nothing was offered.
    """

    def __init__(self, x: Tensor) -> None:
        self.x = x.clone()
        self.fooled = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        self.loss = torch.full((len(x),), -math.inf, device=x.device)
        self.latest = torch.zeros(len(x), device=x.device)

    def offer(self, rows: Tensor, x: Tensor, losses: Tensor, fooled: Tensor) -> None:
        """Take those images, of those rows of the batch, that are better than what is held."""
        losses = losses.to(self.loss.dtype)
        self.latest[rows] = losses
        before = self.fooled[rows]
        better = (fooled & ~before) | ((fooled == before) & (losses > self.loss[rows]))
        chosen = rows[better]
        self.x[chosen] = x[better]
        self.loss[chosen] = losses[better]
        self.fooled[chosen] = fooled[better]

"""Threats in the norm L0: a few pixels, changed at will."""

from collections.abc import Callable

import torch
from torch import Tensor

from advprune.choices import check_count
from advprune.threat import ThreatModel


class FewPixels(ThreatModel):
    """All images that differ in at most so many pixels, within the range of pixels.

    A pixel is a position with all its channels. Its norm is "l0", its radius the number; only
    attacks made for it search it: `SparseRS` and `Pointwise`.

    Args:
        pixels: how many may change.
        bounds: smallest and largest value of a pixel.

    Raises:
        ValueError: when a setting is impossible.
    """

    def __init__(self, pixels: int, bounds: tuple[float, float] = (0.0, 1.0)) -> None:
        check_count("pixels", pixels)
        super().__init__("l2", pixels, bounds)
        object.__setattr__(self, "norm", "l0")

    def distance(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """Number of pixels that differ, (batch,)."""
        return (x_adv != x).any(1).flatten(1).sum(1).to(x.dtype)

    def projection(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """Keeps the pixels whose channels changed most, by the sum of their squares."""
        low, high = self.bounds
        count = min(int(self.eps), x.shape[2] * x.shape[3])

        def project(x_adv: Tensor) -> Tensor:
            changes = (x_adv - x).square().sum(1).flatten(1)
            largest = changes.topk(count, dim=1).indices
            kept = torch.zeros_like(changes, dtype=torch.bool).scatter_(1, largest, True)
            return torch.where(kept.view(len(x), 1, *x.shape[2:]), x_adv, x).clamp(low, high)

        return project

    def _forgiven(self, _slack: float, _pixels: int) -> float:
        """Nothing: pixels are counted."""
        return 0.0

"""Thermometer encoding of pixels."""

import torch
from torch import Tensor, nn

from advprune.choices import check_count


class Thermometer(nn.Module):
    """A pixel becomes L channels τ_k(x) = 1 if x > k / L else 0, k = 0 … L - 1. Its gradient is 0.

    Source: Buckman et al., "Thermometer encoding" (2018), section 3.2. `ramp` stands in for it, as
    in Athalye, Carlini & Wagner (2018), section 5.1.

    Args:
        levels: L.
    """

    levels: Tensor

    def __init__(self, levels: int = 16) -> None:
        super().__init__()
        check_count("levels", levels, least=2)
        self.register_buffer("levels", torch.arange(levels).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Images (batch, channels, height, width) → (batch, channels · L, height, width)."""
        return self._steps(x).sign().clamp(min=0)

    def ramp(self, x: Tensor) -> Tensor:
        """Like the encoding, with a slope in place of each step: min(max(L x - k, 0), 1)."""
        return self._steps(x).clamp(0, 1)

    def _steps(self, x: Tensor) -> Tensor:
        count = self.levels.shape[1]
        return x.repeat_interleave(count, 1) * count - self.levels.repeat(1, x.shape[1], 1, 1)

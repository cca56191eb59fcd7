"""DeepMask: features that move under attack are cut off."""

import torch
from torch import Tensor, nn


class DeepMask(nn.Module):
    """Multiplies features by a fixed mask, after the network was trained.

    Source: Gao et al., "DeepCloak" (2017), section 3; `steady_units` gives the mask.

    Args:
        mask: 0 or 1 a unit, (units,).
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, features: Tensor) -> Tensor:
        """Masked features, (batch, units)."""
        return features * self.mask


def steady_units(clean: Tensor, attacked: Tensor, share: float) -> Tensor:
    """1 for units to keep: all but that share of them with the largest Σ |h(x) - h(x')|, (units,).

    Args:
        clean: features of clean images, (batch, units).
        attacked: those of their attacked counterparts.
        share: of the units to cut, in [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"share={share}; allowed are numbers from 0, below 1")
    moved = (clean - attacked).abs().sum(0)
    mask = torch.ones_like(moved)
    mask[moved.topk(round(share * len(moved))).indices] = 0
    return mask

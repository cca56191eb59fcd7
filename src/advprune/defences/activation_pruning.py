"""Stochastic activation pruning."""

import torch
from torch import Tensor, nn


class ActivationPruning(nn.Module):
    """Keeps activations drawn by size, made larger so that their mean stays.

    Of n activations h, r are drawn with replacement by p_i = |h_i| / Σ|h|; those drawn become
    h_i / (1 - (1 - p_i)ʳ), the others 0. Draws come from torch's global random state, as dropout's.

    Source: Dhillon et al., "Stochastic activation pruning" (2018), algorithm 1.

    Args:
        share: r / n; with 1 about a third or more are not drawn.

    Raises:
        ValueError: when `share` is not above 0.
    """

    def __init__(self, share: float = 1.0) -> None:
        super().__init__()
        if not share > 0:
            raise ValueError(f"share={share}; allowed are numbers above 0")
        self.share = share

    def forward(self, h: Tensor) -> Tensor:
        """Activations (batch, ...); the shape stays."""
        flat = h.flatten(1)
        draws = max(1, round(self.share * flat.shape[1]))
        size = flat.detach().abs()
        chances = size / size.sum(1, keepdim=True).clamp(min=1e-12)
        drawn = torch.multinomial(chances + 1e-12, draws, replacement=True)
        kept = torch.zeros_like(flat).scatter_(1, drawn, 1.0)
        scale = -torch.expm1(draws * torch.log1p(-chances.clamp(max=1 - 1e-6)))
        return (flat * kept / scale.clamp(min=1e-12)).view_as(h)

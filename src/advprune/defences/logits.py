"""Logits that are kept small, or get noise."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class LogitNoise(nn.Module):
    """z + σ n with n ~ N(0, 1), drawn anew in every pass from torch's global random state.

    In training it augments logits, as noise on pixels augments images; in evaluation answers stay
    random.

    Args:
        scale: σ.

    Raises:
        ValueError: when `scale` is not above 0.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"scale={scale}; allowed are numbers above 0")
        self.scale = scale

    def forward(self, logits: Tensor) -> Tensor:
        """Noisy logits, (batch, classes)."""
        return logits + self.scale * torch.randn_like(logits)


def squeezed_cross_entropy(logits: Tensor, labels: Tensor, weight: float) -> Tensor:
    """CE(z, y) + λ ‖z‖₂, (batch,): clean logit squeezing, on images with Gaussian noise.

    Source: Kannan, Kurakin & Goodfellow, "Adversarial logit pairing" (2018); Mosbach et al., "Logit
    pairing methods can fool gradient-based attacks" (2018), show that it hides gradients.

    Args:
        logits: z, (batch, classes).
        labels: y, (batch,).
        weight: λ.
    """
    norm: Tensor = torch.linalg.vector_norm(logits, dim=1)
    return functional.cross_entropy(logits, labels, reduction="none") + weight * norm

"""VIBNet: the variational information bottleneck as a gate.

Source: Dai et al. 2018, "Compressing neural networks using the variational information bottleneck"
(arXiv 1802.10399), equations 6 to 9.
"""

import torch
from torch import Tensor

from advprune.gates.gaussian import Gaussian


class Bottleneck(Gaussian):
    """Gates `m = μ + σ ε`, whose prior N(0, ξ) has the variance ξ that suits them best.

    The weight γ of the paper is a phase's `beta`; its factor by layer is `kl_weighting`.

    Args:
        units: number of units.
        start: first log σ².
        threshold: log α = log(σ²/μ²) from which on a unit goes.
    """

    def __init__(self, units: int, *, start: float = -9.0, threshold: float = 0.0) -> None:
        super().__init__(units, start=start, threshold=threshold)

    def kl_per_unit(self) -> Tensor:
        """Returns `½ log(1 + μ²/σ²)`, (units,): the divergence from N(0, μ² + σ²)."""
        return 0.5 * torch.log1p(torch.exp(-self.log_alpha))

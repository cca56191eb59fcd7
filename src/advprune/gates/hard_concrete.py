"""L0 regularisation by hard concrete gates.

Source: Louizos, Welling & Kingma 2018, "Learning sparse neural networks through L0 regularization"
(arXiv 1712.01312), equations 10 to 13.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from advprune.gates.base import ACTIVE_ABOVE, Gate

LOW, HIGH = -0.1, 1.1
"""To which the concrete variable is stretched, γ and ζ in the paper."""
_MARGIN = 1e-6
_POINTS, _WEIGHTS = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(32))


class HardConcrete(Gate):
    """Gates `z = clip(γ + (ζ - γ) σ((logit u + log α) / β), 0, 1)`, which are often exactly 0 or 1.

    There is no prior: in place of a divergence stands the probability of not being 0, so that the
    sum over units is the expected number of open gates. The paper's λ is a phase's `beta`.

    Args:
        units: number of units.
        start: first log α; 0 opens every other gate.
        temperature: β.

    Raises:
        ValueError: `temperature` is not positive.
    """

    def __init__(self, units: int, *, start: float = 0.0, temperature: float = 2 / 3) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature={temperature}: it must be over 0")
        self.units = units
        self.temperature = temperature
        self.log_alpha = nn.Parameter(torch.full((units,), float(start)))

    def sample(self, batch: int) -> Tensor:
        """Returns z in [0, 1], (batch, units)."""
        like = self.log_alpha
        draw = torch.rand(batch, self.units, dtype=like.dtype, device=like.device)
        noise = torch.logit(draw.clamp(_MARGIN, 1 - _MARGIN))
        concrete = torch.sigmoid((noise + like) / self.temperature)
        return (LOW + (HIGH - LOW) * concrete).clamp(0, 1)

    def mean(self) -> Tensor:
        """Returns `E z = ∫₀¹ P(z > t) dt`, (units,), by Gauss-Legendre quadrature of 32 points."""
        points, weights = (part.to(self.log_alpha) for part in (_POINTS, _WEIGHTS))
        borders = ((points + 1) / 2)[:, None]
        return 0.5 * (weights[:, None] * self._above(borders)).sum(0)

    def kl_per_unit(self) -> Tensor:
        """Returns `P(z > 0) = σ(log α - β log(-γ/ζ))`, (units,)."""
        return self._above(torch.zeros_like(self.log_alpha))

    def expected(self) -> Tensor:
        """Returns the paper's test-time gate `clip(γ + (ζ - γ) σ(log α), 0, 1)`, (units,)."""
        return (LOW + (HIGH - LOW) * self.log_alpha.sigmoid()).clamp(0, 1)

    def score(self) -> Tensor:
        """Returns α, scaled so that the border is where the test-time gate becomes 0."""
        return ACTIVE_ABOVE * torch.exp(self.log_alpha - math.log(-LOW / HIGH))

    def close(self, units: Tensor) -> None:
        """Makes the given units' test-time gates 0."""
        with torch.no_grad():
            self.log_alpha[units] = -6.0

    def revive(self, units: Tensor) -> None:
        """Makes the given units' test-time gates 0.01."""
        with torch.no_grad():
            self.log_alpha[units] = math.log(0.11 / 1.09)

    def _above(self, border: Tensor) -> Tensor:
        """`P(z > t) = σ(log α - β logit((t - γ) / (ζ - γ)))`."""
        concrete = (border - LOW) / (HIGH - LOW)
        return torch.sigmoid(self.log_alpha - self.temperature * torch.logit(concrete))

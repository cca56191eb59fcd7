"""Structured Bayesian pruning.

Source: Neklyudov et al. 2017, "Structured Bayesian pruning via log-normal multiplicative noise"
(arXiv 1705.07283), sections 3.2 and 3.3.
"""

import math

import torch
from torch import Tensor, nn

from advprune.gates.base import ACTIVE_ABOVE, Gate

LOW, HIGH = -20.0, 0.0
"""Between which log θ lies, a and b in the paper."""
_EDGE = 1e-12


class LogNormal(Gate):
    """Gates θ with `log θ ~ N(μ, σ²)` truncated to [a, b], and uniform on [a, b] a priori.

    A unit stays while its signal-to-noise ratio `E θ / √Var θ` is above a threshold.

    Args:
        units: number of units.
        start: first log σ.
        threshold: of the signal-to-noise ratio.

    Raises:
        ValueError: `threshold` is not positive.
    """

    def __init__(self, units: int, *, start: float = -5.0, threshold: float = 1.0) -> None:
        super().__init__()
        if not threshold > 0:
            raise ValueError(f"threshold={threshold}: it must be over 0")
        self.units = units
        self.threshold = threshold
        self.mu = nn.Parameter(torch.zeros(units))
        self.log_sigma = nn.Parameter(torch.full((units,), float(start)))

    def sample(self, batch: int) -> Tensor:
        """Returns θ in (0, 1], (batch, units), by inverting the distribution function."""
        mu, sigma, low, high = self._normalised()
        below, above = torch.special.ndtr(low), torch.special.ndtr(high)
        draw = torch.rand(batch, self.units, dtype=torch.float64, device=mu.device)
        share = (below + draw * (above - below)).clamp(_EDGE, 1 - _EDGE)
        log_theta: Tensor = mu + sigma * torch.special.ndtri(share)
        return log_theta.clamp(LOW, HIGH).exp().to(self.mu.dtype)

    def mean(self) -> Tensor:
        """Returns `E θ = exp(μ + σ²/2) (Φ(σ - α) - Φ(σ - β)) / Z`, (units,).

        α and β are a and b, normalised; `Z = Φ(β) - Φ(α)`.
        """
        return self._log_moment(1).exp().to(self.mu.dtype)

    def kl_per_unit(self) -> Tensor:
        """Returns `log(b - a) - log(√(2πe) σ Z) - (α φ(α) - β φ(β)) / (2 Z)`, (units,)."""
        _, sigma, low, high = self._normalised()
        log_z = _log_between(low, high)
        log_scale = 0.5 * math.log(2 * math.pi * math.e) + torch.log(sigma) + log_z
        tails = (_moment_at(low) - _moment_at(high)) / (2 * log_z.exp())
        return (math.log(HIGH - LOW) - log_scale - tails).to(self.mu.dtype)

    def score(self) -> Tensor:
        """Returns the cube of the signal-to-noise ratio over its threshold, scaled to the border.

        The cube, since a unit is far from its end already where the ratio is a few thresholds.
        """
        first, second = self._log_moment(1), self._log_moment(2)
        excess = torch.expm1((second - 2 * first).clamp_min(1e-12))  # Var θ / (E θ)²
        return (ACTIVE_ABOVE / (self.threshold * excess.sqrt()) ** 3).to(self.mu.dtype)

    def close(self, units: Tensor) -> None:
        """Gives the given units a ratio far below the threshold."""
        with torch.no_grad():
            self.mu[units] = LOW
            self.log_sigma[units] = math.log(10.0)

    def revive(self, units: Tensor) -> None:
        """Gives the given units a ratio a little above 1."""
        with torch.no_grad():
            self.mu[units] = -1.0
            self.log_sigma[units] = math.log(0.5 / self.threshold)

    def _log_moment(self, order: int) -> Tensor:
        """`log E θ^k = k μ + k² σ²/2 + log(Φ(kσ - α) - Φ(kσ - β)) - log Z`, in double precision."""
        mu, sigma, low, high = self._normalised()
        shift = order * sigma
        ratio = _log_between(low - shift, high - shift) - _log_between(low, high)
        return order * mu + 0.5 * shift**2 + ratio

    def _normalised(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns μ, σ, α and β in double precision."""
        mu = self.mu.double().clamp(LOW, HIGH)
        sigma = self.log_sigma.double().clamp(-8.0, 2.5).exp()
        return mu, sigma, (LOW - mu) / sigma, (HIGH - mu) / sigma


def _log_between(low: Tensor, high: Tensor) -> Tensor:
    """`log(Φ(high) - Φ(low))`, in whichever tail it does not cancel."""
    flipped = low + high > 0
    low, high = torch.where(flipped, -high, low), torch.where(flipped, -low, high)
    upper: Tensor = torch.special.log_ndtr(high)
    return upper + torch.log(-torch.expm1(torch.special.log_ndtr(low) - upper))


def _moment_at(x: Tensor) -> Tensor:
    """`x φ(x)`, 0 far out."""
    x = x.clamp(-30, 30)
    return x * torch.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)

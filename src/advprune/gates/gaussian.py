"""What gates with Gaussian noise share: a mean μ, a variance σ² and their ratio α = σ²/μ²."""

import torch
from torch import Tensor, nn

from advprune.gates.base import ACTIVE_ABOVE, Gate

_NOTHING = 1e-8
_CLOSED, _HARDLY_OPEN = 4.0, -0.5
"""log α of closed and of revived units, from the threshold."""


class Gaussian(Gate):
    """Gates `m = μ + σ ε` with standard normal ε; a unit stays while `log α = log(σ²/μ²)` is small.

    Args:
        units: number of units.
        start: first log σ².
        threshold: of log α.
    """

    def __init__(self, units: int, *, start: float, threshold: float) -> None:
        super().__init__()
        self.units = units
        self.threshold = threshold
        self.mu = nn.Parameter(torch.ones(units))
        self.log_variance = nn.Parameter(torch.full((units,), float(start)))

    @property
    def log_alpha(self) -> Tensor:
        """Returns log α, (units,)."""
        return (self.log_variance - torch.log(self.mu.square() + _NOTHING)).clamp(-20, 20)

    def sample(self, batch: int) -> Tensor:
        """Returns `μ + σ ε`, (batch, units), with noise of its own for each example."""
        noise = torch.randn(batch, self.units, dtype=self.mu.dtype, device=self.mu.device)
        return self.mu + torch.exp(0.5 * self.log_variance) * noise

    def mean(self) -> Tensor:
        """Returns μ, (units,)."""
        return self.mu

    def score(self) -> Tensor:
        """Returns 1/α, scaled so that its threshold is the border."""
        return ACTIVE_ABOVE * torch.exp(self.threshold - self.log_alpha)

    def close(self, units: Tensor) -> None:
        """Gives the given units a log α above the threshold."""
        self._set(units, self.threshold + _CLOSED)

    def revive(self, units: Tensor) -> None:
        """Gives the given units a log α a little below the threshold."""
        self._set(units, self.threshold + _HARDLY_OPEN)

    def _set(self, units: Tensor, log_alpha: float) -> None:
        with torch.no_grad():
            self.mu[units] = 0.1
            self.log_variance[units] = torch.log(self.mu[units].square() + _NOTHING) + log_alpha

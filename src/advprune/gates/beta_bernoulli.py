"""Beta-Bernoulli dropout (Lee et al. 2018, arXiv 1805.10896)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.gates.base import Gate

EULER = 0.577215664901532
MARGIN = 1e-6
"""Uniform draws stay this far from 0 and 1, as far as float32 tells them apart."""
LOWEST_LOG = -80.0


class BetaBernoulli(Gate):
    """Gates z ~ Bernoulli(π) with π ~ Beta(α, 1) a priori and Kumaraswamy(a, b) a posteriori.

    `q(π) = a b π^(a-1) (1 - π^a)^(b-1)`, `q(z|π) = p(z|π)`, so the KL is on π alone.

    Args:
        units: number of units.
        start: initial a before its softplus; -1 gives E[π] = 0.239, 2 gives 0.680.
        alpha: α of the prior, in place of α/K as in the reference code.
        temperature: of the binary concrete relaxation of z.

    Raises:
        ValueError: `alpha` or `temperature` is not positive.
    """

    def __init__(
        self, units: int, *, start: float = -1.0, alpha: float = 1e-4, temperature: float = 0.1
    ) -> None:
        super().__init__()
        if not alpha > 0 or not temperature > 0:
            raise ValueError(f"alpha={alpha}, temperature={temperature}: both must be over 0")
        self.units = units
        self.alpha = alpha
        self.temperature = temperature
        self.raw_a = nn.Parameter(torch.full((units,), float(start)))
        self.raw_b = nn.Parameter(torch.full((units,), 0.5413))  # b = 1

    @property
    def a(self) -> Tensor:
        """Returns a > 0, (units,)."""
        return functional.softplus(self.raw_a.clamp(min=-10.0))

    @property
    def b(self) -> Tensor:
        """Returns b > 0, (units,)."""
        return functional.softplus(self.raw_b.clamp(-10.0, 50.0))

    def sample(self, batch: int) -> Tensor:
        """Returns relaxed z in [0, 1], (batch, units): π is shared by the batch, z is not.

        `log π = log(1 - u^(1/b)) / a`; `z = σ((logit π + logit u') / temperature)`.
        """
        log_pi = torch.log(-torch.expm1(torch.log(self._uniform(self.units)) / self.b)) / self.a
        log_pi = log_pi.clamp(LOWEST_LOG, -MARGIN)
        logit_pi = log_pi - torch.log(-torch.expm1(log_pi))
        noise = torch.logit(self._uniform(batch, self.units))
        return torch.sigmoid((logit_pi + noise) / self.temperature)

    def mean(self) -> Tensor:
        """Returns `E[π] = b B(1 + 1/a, b)`, (units,), by log-gamma functions.

        In double precision: for small a, large numbers nearly cancel.
        """
        a, b = self.a.double(), self.b.double()
        log_beta = torch.lgamma(1 + 1 / a) + torch.lgamma(b) - torch.lgamma(1 + 1 / a + b)
        return torch.exp(torch.log(b) + log_beta).to(self.raw_a.dtype)

    def kl_per_unit(self) -> Tensor:
        """Returns `(1 - α/a)(-γ - ψ(b) - 1/b) + log(ab/α) - (b-1)/b`, (units,)."""
        a, b = self.a, self.b
        first = (1 - self.alpha / a) * (-EULER - torch.digamma(b) - 1 / b)
        return first + torch.log(a * b / self.alpha) - (b - 1) / b

    def close(self, units: Tensor) -> None:
        """Sets a so low that the given units' E[π] is below the threshold."""
        with torch.no_grad():
            self.raw_a[units] = -10.0
            self.raw_b[units] = 0.5413

    def revive(self, units: Tensor) -> None:
        """Sets the given units' posterior to E[π] = 0.01: open, but hardly."""
        with torch.no_grad():
            self.raw_a[units] = -4.59
            self.raw_b[units] = 0.5413

    def _uniform(self, *shape: int) -> Tensor:
        draw = torch.rand(*shape, dtype=self.raw_a.dtype, device=self.raw_a.device)
        return draw.clamp(MARGIN, 1 - MARGIN)

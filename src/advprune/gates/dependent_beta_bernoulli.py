"""Dependent Beta-Bernoulli dropout: each example opens units of its own."""

import math

import torch
from torch import Tensor

from advprune.gates.beta_bernoulli import BetaBernoulli
from advprune.gates.passing import Passing
from advprune.structure.input_gate import key_of


class DependentBetaBernoulli(BetaBernoulli):
    """Gates `z ~ Bernoulli(π φ(x))`: those of `BetaBernoulli`, times what `Passing` lets through.

    What depends on x stands where the units are read. π is one for all readers of a group; φ has
    parameters and statistics of its own at each, since each may be given something else. `sample`,
    `mean` and `expected` are those of π: its mean folds into weights, and φ stays in the cut
    network as a small gate. Here π and φ are trained together; the reference code trains π first.

    Source: Lee et al. 2018, "Adaptive network sparsification with dependent variational
    beta-Bernoulli dropout" (arXiv 1805.10896), section 3.3.

    Args:
        units: number of units.
        start: as in `BetaBernoulli`.
        alpha: as in `BetaBernoulli`.
        temperature: of both relaxations.
        center: first mean of β: φ of an average example.
        prior: ρ of β's prior N(0, ρ²).

    Raises:
        ValueError: `alpha`, `temperature` or `prior` is not positive.
    """

    def __init__(
        self,
        units: int,
        *,
        start: float = -1.0,
        alpha: float = 1e-4,
        temperature: float = 0.1,
        center: float = 1.0,
        prior: float = math.sqrt(5.0),
    ) -> None:
        super().__init__(units, start=start, alpha=alpha, temperature=temperature)
        if not prior > 0:
            raise ValueError(f"prior={prior}: it must be over 0")
        self.center = center
        self.prior = prior

    def read_by(self, layer: str) -> None:
        """Gives the layer a φ of its own."""
        passing = Passing(
            self.units, center=self.center, prior=self.prior, temperature=self.temperature
        )
        self.passings[key_of(layer)] = passing.to(self.raw_a.device, self.raw_a.dtype)

    def kl_per_unit(self) -> Tensor:
        """Returns the divergence of π plus those of every reader's β, (units,)."""
        return torch.stack([super().kl_per_unit(), *(p.kl_per_unit() for p in self._each())]).sum(0)

    def score(self) -> Tensor:
        """Returns `E[π]` times the share of examples that pass at the reader where most do.

        A unit that hardly any example opens is inactive, for all examples alike.
        """
        shares = [passing.share for passing in self._each()]
        return self.mean() * torch.stack(shares).amax(0) if shares else self.mean()

    def revive(self, units: Tensor) -> None:
        """Opens φ for average examples, and π as `BetaBernoulli` does."""
        super().revive(units)
        with torch.no_grad():
            for passing in self._each():
                passing.bias[units] = 1.0
                passing.share[units] = 1.0

    def _each(self) -> list[Passing]:
        return [passing for passing in self.passings.values() if isinstance(passing, Passing)]

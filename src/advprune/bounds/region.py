"""The images that an attacker may show, as far as bounds need to know them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from advprune.bounds.operators import Interval
from advprune.threat import ThreatModel

DUAL = {"l2": 2.0, "l1": torch.inf}
"""Order of the norm that is dual to each threat's."""


@dataclass(frozen=True, eq=False)
class Region:
    """All images that a threat allows around each of a batch.

    Attributes:
        x: (batch, channels, height, width).
        threat: norm, radius and bounds of the pixels.
    """

    x: Tensor
    threat: ThreatModel

    def box(self) -> Interval:
        """Returns the smallest box around the region."""
        low, high = self.threat.bounds
        eps = self.threat.eps
        return Interval((self.x - eps).clamp(min=low), (self.x + eps).clamp(max=high))

    def minimiser(self, coefficients: Tensor) -> Tensor:
        """Returns images of the box at which A x' is smallest, shaped like A: for L∞."""
        box = self.box()
        return torch.where(coefficients > 0, box.lower.unsqueeze(1), box.upper.unsqueeze(1))

    def minimum(self, coefficients: Tensor) -> Tensor:
        """Returns lower bounds on A x' over the region, (batch, rows).

        L∞: exact, A⁺ l + A⁻ u over the box. L2 and L1: the better of that and
        A x - eps ‖A‖_q with the dual norm (q = 2 and ∞); what both leave out together is not used.

        Args:
            coefficients: A, (batch, rows, channels, height, width).
        """
        flat = coefficients.flatten(2)
        box = self.box()
        centre = ((box.lower + box.upper) / 2).flatten(1).unsqueeze(2)
        radius = ((box.upper - box.lower) / 2).flatten(1).unsqueeze(2)
        within = (flat @ centre - flat.abs() @ radius).squeeze(2)
        if self.threat.norm == "linf":
            return within
        norms = torch.linalg.vector_norm(flat, ord=DUAL[self.threat.norm], dim=2)
        at = (flat @ self.x.flatten(1).unsqueeze(2)).squeeze(2)
        return torch.maximum(within, at - self.threat.eps * norms)

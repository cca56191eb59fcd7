"""Common corruptions, as if an attacker had made them."""

import torch
from torch import Tensor

from advprune.attacks.base import Found
from advprune.attacks.row_noise import RowNoise
from advprune.attacks.unlimited import Unlimited
from advprune.attacks.victim import Victim
from advprune.choices import choose
from advprune.corruptions import CORRUPTIONS, SEVERITIES


class Corruption(Unlimited):
    """One corruption at one severity; nothing is searched.

    Source: Hendrycks & Dietterich, "Benchmarking neural network robustness to common corruptions
    and perturbations" (2019).

    Args:
        kind: a name of `corruptions.CORRUPTIONS`.
        severity: from 1 to 5.

    Raises:
        ValueError: when a setting is impossible.
    """

    def __init__(self, kind: str, *, severity: int) -> None:
        super().__init__()
        self.corrupt = choose("corruption", kind, CORRUPTIONS)
        if severity not in SEVERITIES:
            raise ValueError(f"severity={severity!r}; allowed are whole numbers from 1 to 5")
        self.kind, self.severity = kind, severity

    def describe(self) -> dict[str, object]:
        """What is done, ready for JSON."""
        return super().describe() | {"kind": self.kind, "severity": self.severity}

    def _search(self, victim: Victim, x: Tensor, generator: torch.Generator | None) -> Found:
        every = torch.arange(len(x))
        noise = RowNoise(len(x), generator).uniform(every, *x.shape[1:]).to(x)
        corrupted = self.corrupt(x, noise, self.severity)
        losses, fooled = victim.measure(corrupted)
        return Found(corrupted, fooled, losses.mean()[None])

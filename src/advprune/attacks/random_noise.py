"""Random noise, the weakest attack there is."""

import math

import torch
from torch import Tensor

from advprune.attacks.base import Attack, Found
from advprune.attacks.best import Best
from advprune.attacks.victim import Victim
from advprune.choices import check_count
from advprune.threat import ThreatModel


class RandomNoise(Attack):
    """Points of the ball, drawn uniformly until one fools: the floor that any attack must pass.

    Source: Carlini et al., "On evaluating adversarial robustness" (2019), section 4.

    Args:
        threat: what the attacker may do.
        draws: points tried for an image.

    Raises:
        ValueError: when `draws` is no whole number from 1.
    """

    def __init__(self, threat: ThreatModel, *, draws: int = 10) -> None:
        super().__init__(threat, loss="margin", precision="float32")
        check_count("draws", draws)
        self.draws = draws

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {"draws": self.draws}

    def _search(self, victim: Victim, x: Tensor, generator: torch.Generator | None) -> Found:
        pixels = math.prod(x.shape[1:])
        noise = self.threat.noise(len(x) * self.draws, pixels, generator)
        noise = noise.view(len(x), self.draws, pixels + 1)
        best = Best(x)
        for draw in range(self.draws):
            rows = best.left()
            drawn = self.threat.start(x[rows], noise[rows, draw])
            best.offer(rows, drawn, *victim.measure(drawn, rows))
        return Found(best.x, best.fooled, best.latest.mean()[None])

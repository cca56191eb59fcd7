"""Carlini and Wagner's attacks: distance and answer in one sum, whose weights are searched."""

import torch
from torch import Tensor

from advprune.attacks.base import Attack, Found, padded
from advprune.attacks.best import Nearest
from advprune.attacks.descent import Descent
from advprune.attacks.victim import Victim
from advprune.attacks.weighing import WEIGHINGS, Weighing
from advprune.choices import check_count
from advprune.threat import ThreatModel

PARTS = 10
"""Of a search; one that brought nothing ends it."""
FIRST_WEIGHTS = {"l2": 1e-3, "linf": 0.1}


class CarliniWagner(Attack):
    """Adam on distance + c · max(κ - margin, 0), over x = low + (high - low) (tanh(w) + 1) / 2.

    The margin is that of the likeliest wrong class, or of the target, over the likeliest other. In
    l2 the distance is ‖δ‖₂², c is bisected, and a search that has fooled ends where a tenth of its
    steps brought nothing. In linf it is Σ max(|δ| - τ, 0); τ falls to nine tenths of what fooled,
    so that the result is no finer, and c doubles where nothing did. Thorough and slow: an image
    costs up to steps · searches gradients.

    Source: Carlini & Wagner, "Towards evaluating the robustness of neural networks" (2017),
    sections V and VI, with the constants of their code, but for c in linf: theirs runs from 1e-5
    to 20, ours from 0.1 to 100, since most of the former is too small to count.

    Args:
        threat: what the attacker may do, in l2 or linf. The radius decides which images fool;
            `AttackResult.distance` tells of farther ones too.
        steps: most steps of a search; their code takes 10,000 in l2, 1,000 in linf.
        searches: most searches, each with other weights; None takes 9 in l2, as published, and 60
            in linf, where they end by themselves.
        learning_rate: Adam's step in w; from black or white, seven in w bring a pixel to grey, so
            that fewer steps need larger ones.
        confidence: κ, by which margin an image must fool, in logits.
        weight: c of the first search; None takes 1e-3 in l2, as published, and 0.1 in linf.

    Raises:
        ValueError: when a setting is impossible.
    """

    norms = tuple(WEIGHINGS)

    def __init__(
        self,
        threat: ThreatModel,
        *,
        steps: int = 1000,
        searches: int | None = None,
        learning_rate: float = 0.01,
        confidence: float = 0.0,
        weight: float | None = None,
    ) -> None:
        super().__init__(threat, loss="margin", precision="float32")
        searches = (9 if threat.norm == "l2" else 60) if searches is None else searches
        weight = FIRST_WEIGHTS[threat.norm] if weight is None else weight
        check_count("steps", steps)
        check_count("searches", searches)
        for name, value in (("learning_rate", learning_rate), ("weight", weight)):
            if not 0 < value < torch.inf:
                raise ValueError(f"{name}={value!r}; allowed are numbers above 0")
        if not 0 <= confidence < torch.inf:
            raise ValueError(f"confidence={confidence!r}; allowed are numbers of at least 0")
        self.steps, self.searches = steps, searches
        self.learning_rate, self.confidence, self.weight = learning_rate, confidence, weight

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {
            "steps": self.steps,
            "searches": self.searches,
            "learning_rate": self.learning_rate,
            "confidence": self.confidence,
            "weight": self.weight,
        }

    def _search(self, victim: Victim, x: Tensor, _generator: torch.Generator | None) -> Found:
        losses, fooled = victim.measure(x)
        nearest = Nearest(self.threat, x, fooled)
        weighing = WEIGHINGS[self.threat.norm](nearest, self.weight)
        means: list[Tensor] = []
        for _ in range(self.searches):
            rows = weighing.open.nonzero().squeeze(1)
            if not len(rows):
                break
            climbed = self._descend(victim, weighing, rows)
            means = means or climbed
        means = means or [losses.mean()] * self.steps
        return Found(nearest.allowed(), nearest.within(), torch.stack(means), nearest.distance)

    def _descend(self, victim: Victim, weighing: Weighing, rows: Tensor) -> list[Tensor]:
        """One search of those rows, packed as they end; mean margin at each step."""
        descent = Descent(weighing.start(rows), rows, self.threat.bounds, self.learning_rate)
        every, met, means = rows, torch.zeros_like(weighing.open), []
        for step in range(self.steps):
            current, rows = descent.images(), descent.rows
            gradient, margins, fooled = victim.gradient(current, rows)
            means.append(margins.mean())
            fooled &= margins >= self.confidence
            weighing.nearest.offer(rows[fooled], current[fooled])
            costs, slopes = weighing.cost(current - weighing.nearest.original[rows], rows)
            now, short = weighing.met(costs, fooled), (self.confidence - margins).clamp(min=0)
            met[rows] |= now
            descent.step(slopes - gradient * _wide(weighing.weight[rows] * (short > 0)))
            if weighing.ends:
                descent.keep(~now)
            elif step % max(self.steps // PARTS, 1) == 0:
                stalled = descent.stalled(costs + weighing.weight[rows] * short)
                descent.keep(~(stalled & met[rows]))  # black and white pixels start slowly
            if not len(descent.rows):
                break
        weighing.learn(every, met[every])
        return padded(means, self.steps)


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None, None]

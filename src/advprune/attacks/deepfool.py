"""DeepFool: step after step onto the nearest boundary of the linearised model."""

import math

import torch
from torch import Tensor

from advprune.attacks.base import Attack, Found
from advprune.attacks.best import Nearest
from advprune.attacks.victim import Victim
from advprune.choices import check_count
from advprune.threat import ThreatModel

DUALS = {"linf": 1.0, "l2": 2.0}


class DeepFool(Attack):
    """Small perturbations by linearisation; fast, and not the smallest there are.

    At each step the class k whose boundary is nearest, |f_k| / ‖w_k‖_q with f_k = z_k - z_y and
    w_k = ∇f_k, gives the step |f_k| / ‖w_k‖_q · ascent(w_k). Where the sum of all steps, made
    longer by the overshoot, fools the model, an image is done.

    Source: Moosavi-Dezfooli, Fawzi & Frossard, "DeepFool" (2016), algorithm 2 and section 3.3.

    Args:
        threat: what the attacker may do, in linf or l2. The radius decides which images fool;
            `AttackResult.distance` tells of farther ones too.
        steps: most steps.
        overshoot: share by which the perturbation is made longer.

    Raises:
        ValueError: when a setting is impossible.
    """

    def __init__(self, threat: ThreatModel, *, steps: int = 50, overshoot: float = 0.02) -> None:
        super().__init__(threat, loss="margin", precision="float32")
        check_count("steps", steps)
        if threat.norm not in DUALS:
            raise ValueError(f"norm={threat.norm!r}; DeepFool knows {', '.join(DUALS)}")
        if not 0 <= overshoot < math.inf:
            raise ValueError(f"overshoot={overshoot!r}; allowed are numbers of at least 0")
        self.steps = steps
        self.overshoot = overshoot

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {"steps": self.steps, "overshoot": self.overshoot}

    def _search(self, victim: Victim, x: Tensor, _generator: torch.Generator | None) -> Found:
        victim.refuse_target(self)
        losses, fooled = victim.measure(x)
        nearest, means = Nearest(self.threat, x, fooled), [losses.mean()]
        rows = (~fooled).nonzero().squeeze(1)
        total = torch.zeros_like(x[rows])
        for _ in range(self.steps):
            if not len(rows):
                break
            total = total + self._step(victim, self._moved(x[rows], total), rows)
            current = self._moved(x[rows], total)
            losses, fooled = victim.measure(current, rows)
            means.append(losses.mean())
            nearest.offer(rows[fooled], current[fooled])
            rows, total = rows[~fooled], total[~fooled]
        return Found(nearest.allowed(), nearest.within(), torch.stack(means), nearest.distance)

    def _moved(self, x: Tensor, total: Tensor) -> Tensor:
        low, high = self.threat.bounds
        return torch.clamp(x + (1 + self.overshoot) * total, low, high)

    def _step(self, victim: Victim, current: Tensor, rows: Tensor) -> Tensor:
        every, labels = torch.arange(len(rows), device=rows.device), victim.labels[rows]
        logits, gradients = victim.class_gradients(current)
        gaps = (logits - logits[every, labels][:, None]).abs()
        normals = gradients - gradients[every, labels][:, None]
        sizes = torch.linalg.vector_norm(normals.flatten(2), ord=DUALS[self.threat.norm], dim=2)
        away = gaps / sizes.clamp(min=1e-12)
        away[every, labels] = math.inf
        length, chosen = away.min(1)
        step: Tensor = length[:, None, None, None] * self.threat.ascent(
            normals[every, chosen], current
        )
        return step

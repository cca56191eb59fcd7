"""DeepFool: step after step onto the nearest boundary of the linearised model."""

import math

import torch
from torch import Tensor

from advprune.attacks.base import Attack, Found, padded
from advprune.attacks.best import Nearest
from advprune.attacks.victim import Victim
from advprune.choices import check_count
from advprune.threat import ThreatModel

DUALS = {"linf": 1.0, "l2": 2.0}


class DeepFool(Attack):
    """Small perturbations by linearisation; fast, and not the smallest there are.

    At each step the class k whose boundary is nearest, |f_k| / ‖w_k‖_q with f_k = z_k - z_y and
    w_k = ∇f_k, gives the step |f_k| / ‖w_k‖_q · ascent(w_k). Where the sum of all steps, made
    longer by the overshoot, fools the model, an image is done. Towards a target, the only boundary
    is that between it and the likeliest other class.

    Source: Moosavi-Dezfooli, Fawzi & Frossard, "DeepFool" (2016), algorithm 2 and section 3.3.

    Args:
        threat: what the attacker may do, in linf or l2. The radius decides which images fool;
            `AttackResult.distance` tells of farther ones too.
        steps: most steps.
        overshoot: share by which the perturbation is made longer.

    Raises:
        ValueError: when a setting is impossible.
    """

    norms = tuple(DUALS)

    def __init__(self, threat: ThreatModel, *, steps: int = 50, overshoot: float = 0.02) -> None:
        super().__init__(threat, loss="margin", precision="float32")
        check_count("steps", steps)
        if not 0 <= overshoot < math.inf:
            raise ValueError(f"overshoot={overshoot!r}; allowed are numbers of at least 0")
        self.steps = steps
        self.overshoot = overshoot

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {"steps": self.steps, "overshoot": self.overshoot}

    def _search(self, victim: Victim, x: Tensor, _generator: torch.Generator | None) -> Found:
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
        losses_per_step = torch.stack(padded(means, self.steps + 1))
        return Found(nearest.allowed(), nearest.within(), losses_per_step, nearest.distance)

    def _moved(self, x: Tensor, total: Tensor) -> Tensor:
        low, high = self.threat.bounds
        return torch.clamp(x + (1 + self.overshoot) * total, low, high)

    def _step(self, victim: Victim, current: Tensor, rows: Tensor) -> Tensor:
        boundary = self._wanted if victim.wanted else self._nearest
        length, normal = boundary(victim, current, rows)
        return length[:, None, None, None] * self.threat.ascent(normal, current)

    def _wanted(self, victim: Victim, current: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """How far the target's boundary is, (rows,), and the way to it, like `current`."""
        normal, leads, _ = victim.gradient(current, rows)
        return leads.abs() / self._size(normal.flatten(1)), normal

    def _nearest(self, victim: Victim, current: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The same of the nearest boundary."""
        every, labels = torch.arange(len(rows), device=rows.device), victim.labels[rows]
        logits, gradients = victim.class_gradients(current)
        gaps = (logits - logits[every, labels][:, None]).abs()
        normals = gradients - gradients[every, labels][:, None]
        away = gaps / self._size(normals.flatten(2))
        away[every, labels] = math.inf
        length, chosen = away.min(1)
        return length, normals[every, chosen]

    def _size(self, normals: Tensor) -> Tensor:
        dual = DUALS[self.threat.norm]
        size: Tensor = torch.linalg.vector_norm(normals, ord=dual, dim=-1)
        return size.clamp(min=1e-12)

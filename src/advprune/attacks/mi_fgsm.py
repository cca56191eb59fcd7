"""Momentum iterative fast gradient sign method."""

import torch
from torch import Tensor

from advprune.attacks.base import Attack, Found
from advprune.attacks.best import Best
from advprune.attacks.losses import Loss
from advprune.attacks.victim import Victim
from advprune.choices import check_count
from advprune.threat import ThreatModel


class MIFGSM(Attack):
    """Small steps along a running sum of gradients, whose direction carries over to other models.

    g ← μ g + ∇loss / ‖∇loss‖₁, x ← project(x + eps / steps · ascent(g)), from the image itself.
    An image leaves as soon as it fools the model.

    Source: Dong et al., "Boosting adversarial attacks with momentum" (2018), algorithm 1.

    Args:
        threat: what the attacker may do.
        steps: number of steps.
        decay: μ, share of the sum that stays.
        loss: see `Attack`.
        precision: see `Attack`.

    Raises:
        ValueError: when a setting is impossible.
    """

    def __init__(
        self,
        threat: ThreatModel,
        *,
        steps: int = 10,
        decay: float = 1.0,
        loss: str | Loss = "cross_entropy",
        precision: str = "float32",
    ) -> None:
        super().__init__(threat, loss=loss, precision=precision)
        check_count("steps", steps)
        if not 0 <= decay <= 1:
            raise ValueError(f"decay={decay!r}; allowed are numbers from 0 to 1")
        self.steps = steps
        self.decay = decay

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {
            "steps": self.steps,
            "step_size": self.threat.eps / self.steps,
            "decay": self.decay,
        }

    def _search(self, victim: Victim, x: Tensor, _generator: torch.Generator | None) -> Found:
        best = Best(x)
        best.offer(torch.arange(len(x), device=x.device), x, *victim.measure(x))
        rows, means = best.left(), []
        current, momentum = x[rows], torch.zeros_like(x[rows])
        for _ in range(self.steps):
            gradient, _, _ = victim.gradient(current, rows)
            size = gradient.abs().sum((1, 2, 3), keepdim=True).clamp(min=1e-30)
            momentum = self.decay * momentum + gradient / size
            ascent = self.threat.ascent(momentum, current)
            stepped = current + self.threat.eps / self.steps * ascent
            current = self.threat.project(stepped, x[rows])
            losses, fooled = victim.measure(current, rows)
            best.offer(rows, current, losses, fooled)
            means.append(best.latest.mean())
            rows, current, momentum = (part[~fooled] for part in (rows, current, momentum))
        return Found(best.x, best.fooled, torch.stack(means))

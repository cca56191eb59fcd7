"""An attack on a classifier and the detector that guards it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from advprune.attacks.base import Found
from advprune.attacks.losses import Loss, targeted
from advprune.attacks.pgd import PGD
from advprune.attacks.victim import Victim
from advprune.threat import ThreatModel

Score = Callable[[Any, Tensor], Tensor]
"""(model, images) → how suspicious a detector finds each, (batch,), with gradient in the images;
above some limit it calls them attacked."""


class Evasion(PGD):
    """PGD for images that fool the model and look as harmless to a detector as can be.

    An image that does not fool yet climbs the margin; one that does descends the detector's score.
    Each step leaves out the other loss's direction, so that neither undoes what the other won:
    g ← g - (g·h / h·h) h. Kept is, of each image, the iterate of the lowest score among those that
    fool. The first restart starts from what an attack finds that does not know of the detector, and
    keeps that where it finds nothing better: knowing is never worse than not.

    The limit of the detector is not needed: one run serves every point of its ROC curve.

    Source: Bryniarski et al., "Evading adversarial example detection defenses with orthogonal
    projected gradient descent" (2022), section 3, where the score stands for the limit.

    Args:
        threat: what the attacker may do.
        score: the detector; called in evaluation mode with the model and attacked images.
        steps: see `PGD`.
        step_size: see `PGD`.
        restarts: see `PGD`; from the second on they start at random.
        blind: the attack to start from; None is PGD-40 on the cross-entropy.
    """

    def __init__(
        self,
        threat: ThreatModel,
        score: Score,
        *,
        steps: int = 200,
        step_size: float | str | None = None,
        restarts: int = 1,
        blind: PGD | None = None,
    ) -> None:
        super().__init__(
            threat,
            steps=steps,
            step_size=step_size,
            restarts=restarts,
            loss="margin",
            stop_when_fooled=False,
        )
        self.score = score
        self.blind = blind or PGD(threat, steps=40, stop_when_fooled=False)

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        name = getattr(self.score, "__name__", type(self.score).__name__)
        return super().describe() | {"score": name, "blind": self.blind.describe()}

    def _search(self, victim: Victim, x: Tensor, generator: torch.Generator | None) -> Found:
        generator = generator or torch.Generator().manual_seed(0)
        margins, blind = victim.loss, self.blind.loss
        victim.loss = targeted(blind) if victim.wanted else blind
        start = self.blind._search(victim, x, generator).x_adv  # noqa: SLF001 - its own class's
        drawn = self._starts(x, generator)
        with victim.seen_as(_Watched, loss=margins, score=self.score) as watched:
            return self._best(
                watched, x, lambda number, rows: drawn(number, rows) if number else start[rows]
            )


@dataclass(kw_only=True)
class _Watched(Victim):
    """A victim whose loss is the margin until an image fools it, and then -score."""

    score: Score

    def measure(self, x: Tensor, rows: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        margins, fooled = super().measure(x, rows)
        with torch.no_grad():
            return torch.where(fooled, -self._scored(x), margins), fooled

    def gradient(
        self, x: Tensor, rows: Tensor | slice = slice(None), loss: Loss | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        towards_error, margins, fooled = super().gradient(x, rows, loss)
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            scores = self._scored(x)
            (suspicion,) = torch.autograd.grad(scores.sum(), x)
        self.backward_passes += len(x)
        gradient = torch.where(
            fooled[:, None, None, None],
            _without(-suspicion, towards_error),
            _without(towards_error, suspicion),
        )
        return gradient, torch.where(fooled, -scores.detach(), margins), fooled

    def _scored(self, x: Tensor) -> Tensor:
        self.forward_passes += len(x)
        scores = self.score(self.model, x)
        if scores.shape != x.shape[:1]:
            raise ValueError(
                f"the detector gives {tuple(scores.shape)}; allowed is one number an image, "
                f"({len(x)},)"
            )
        return scores


def _without(gradient: Tensor, other: Tensor) -> Tensor:
    """The part of each image's gradient that is orthogonal to another."""
    g, h = gradient.flatten(1), other.flatten(1)
    along = (g * h).sum(1, keepdim=True) / h.square().sum(1, keepdim=True).clamp(min=1e-24)
    return (g - along * h).view_as(gradient)

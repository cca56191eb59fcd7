"""Auto-PGD: steepest ascent with momentum whose step halves where it stops helping."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from advprune.attacks.ascent import ASCENTS, Climb
from advprune.attacks.base import Attack, Found, padded
from advprune.attacks.best import Best
from advprune.attacks.losses import Loss
from advprune.attacks.rounds import room, rounds
from advprune.attacks.victim import Victim
from advprune.choices import check_count
from advprune.threat import ThreatModel

PHASES = ((3, 0.3), (2, 0.3), (1, 0.4))
"""L1 climbs in larger balls first: multiples of the radius, and shares of the steps."""


class APGD(Attack):
    """Ascent by steps of 2 · eps that halve at checkpoints, each restart from a random start.

    z = project(x + η · ascent(∇loss(x))), x ← project(x + ¾ (z - x) + ¼ (x - x before)). Where the
    loss rose in too few steps since the last checkpoint, or its best did not move, η halves and
    the climb goes on from the best iterate. An image leaves as soon as it fools the model.

    Source: Croce & Hein, "Reliable evaluation of adversarial robustness" (2020), algorithm 1; for
    L1 Croce & Hein, "Mind the box" (2021), algorithm 1, with its phases of larger radii.

    Args:
        threat: what the attacker may do.
        steps: steps of a restart.
        restarts: number of random starts.
        loss: see `Attack`.
        rho: share of steps that must raise the loss for the step to stay (linf and l2).
        precision: see `Attack`.

    Raises:
        ValueError: when a setting is impossible.
    """

    def __init__(
        self,
        threat: ThreatModel,
        *,
        steps: int = 100,
        restarts: int = 1,
        loss: str | Loss = "cross_entropy",
        rho: float = 0.75,
        precision: str = "float32",
    ) -> None:
        super().__init__(threat, loss=loss, precision=precision)
        check_count("steps", steps)
        check_count("restarts", restarts)
        if not 0 <= rho <= 1:
            raise ValueError(f"rho={rho!r}; allowed are numbers from 0 to 1")
        self.steps = steps
        self.restarts = restarts
        self.rho = rho

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {
            "steps": self.steps,
            "restarts": self.restarts,
            "rho": self.rho,
            "radii": [multiple for multiple, _ in self._phases()],
        }

    def _search(self, victim: Victim, x: Tensor, generator: torch.Generator | None) -> Found:
        best = Best(x)
        logits = victim.logits(x)
        best.offer(torch.arange(len(x), device=x.device), x, *victim.judge(logits))
        count, losses_of = self._rounds(victim, logits)
        pixels = math.prod(x.shape[1:])
        noise = self.threat.noise(len(x) * count, pixels, generator)
        noise = noise.view(len(x), count, pixels + 1)
        means: list[Tensor] = []
        for rows, numbers in rounds(best.left, count, room(x)):
            pairs = self._climb(
                victim, x, rows, noise[rows, numbers], losses_of(rows, numbers), best
            )
            means = means or pairs
        return Found(best.x, best.fooled, torch.stack(means or [best.latest.mean()] * self.steps))

    def _rounds(
        self, victim: Victim, _logits: Tensor
    ) -> tuple[int, Callable[[Tensor, Tensor], Callable[[Tensor], Loss]]]:
        """How many rounds there are, and what each pair of a row and a round maximises.

        The latter is a function of (rows, rounds) to a function of pairs to their loss.
        """
        return self.restarts, lambda _rows, _numbers: lambda _pairs: victim.loss

    def _phases(self) -> list[tuple[float, int]]:
        """Multiples of the radius and numbers of steps."""
        if self.threat.norm != "l1":
            return [(1, self.steps)]
        early = [(multiple, math.ceil(share * self.steps)) for multiple, share in PHASES[:-1]]
        early = [(multiple, steps) for multiple, steps in early if 2 * steps < self.steps]
        return [*early, (1, self.steps - sum(steps for _, steps in early))]

    def _climb(
        self,
        victim: Victim,
        x: Tensor,
        rows: Tensor,
        noise: Tensor,
        loss_of: Callable[[Tensor], Loss],
        best: Best,
    ) -> list[Tensor]:
        """One climb of each pair; mean loss at each step."""
        *early, (_, steps) = self._phases()
        centre, means, start = x[rows], [], None
        for multiple, some in early:
            threat = self.threat.at(multiple * self.threat.eps)
            climb = self._begun(threat, centre, noise, start, rows, some)
            means += self._ascend(victim, climb, some, loss_of, None)
            start = climb.best
        climb = self._begun(self.threat, centre, noise, start, rows, steps)
        means += self._ascend(victim, climb, steps, loss_of, best)
        return means

    def _begun(
        self,
        threat: ThreatModel,
        centre: Tensor,
        noise: Tensor,
        start: Tensor | None,
        rows: Tensor,
        steps: int,
    ) -> Climb:
        current = threat.start(centre, noise) if start is None else threat.project(start, centre)
        return ASCENTS[threat.norm](threat, steps, self.rho, rows, centre, current)

    def _ascend(
        self,
        victim: Victim,
        climb: Climb,
        steps: int,
        loss_of: Callable[[Tensor], Loss],
        best: Best | None,
    ) -> list[Tensor]:
        """All steps of a climb; those that fool are offered and leave, where `best` is given."""
        latest, means = torch.zeros_like(climb.loss), []
        for step in range(steps):
            if not len(climb.rows):
                break
            gradient, losses, fooled = victim.gradient(
                climb.current, climb.rows, loss_of(climb.pairs)
            )
            latest[climb.pairs] = losses.to(latest.dtype)
            means.append(latest.mean())
            climb.note(gradient, losses)
            if best is not None:
                fooled = victim.confirmed(fooled, climb.current, climb.rows)
                _leave(climb, losses, fooled, best)
            climb.advance(step)
        if best is not None and len(climb.rows):
            _leave(climb, *victim.measure(climb.current, climb.rows), best)
            best.offer(
                climb.rows,
                climb.best,
                climb.best_loss,
                torch.zeros_like(climb.rows, dtype=torch.bool),
            )
        return padded(means, steps)


def _leave(climb: Climb, losses: Tensor, fooled: Tensor, best: Best) -> None:
    """Offer the pairs that fool; all pairs of their images leave the climb."""
    if fooled.any():
        best.offer(climb.rows[fooled], climb.current[fooled], losses[fooled], fooled[fooled])
        climb.keep(~best.fooled[climb.rows])

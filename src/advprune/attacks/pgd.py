"""Projected gradient descent."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from advprune.attacks.base import Attack, Found, padded
from advprune.attacks.best import Best
from advprune.attacks.losses import Loss
from advprune.attacks.victim import Victim
from advprune.choices import check_count
from advprune.threat import ThreatModel, read_length

KEEPS = ("best", "last")


class PGD(Attack):
    """Steepest ascent of the loss by small steps, each projected back into the threat model.

    x ← project(x + step_size · ascent(∇loss(x))), from a random start.

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks" (2018),
    section 3; the default step lets the iterate cross the ball 1.25 times.

    Args:
        threat: what the attacker may do.
        steps: number of steps.
        step_size: length of a step in the threat's norm, as `eps` is; None is 2.5 · eps / steps.
        restarts: number of random starts.
        loss: see `Attack`. A function that holds tensors of one row an example, as that of TRADES,
            needs `stop_when_fooled=False`.
        random_start: whether to start at a random point of the ball, or at the image itself.
        stop_when_fooled: whether an example leaves the batch as soon as the model is fooled; one
            that fools from the start comes back unchanged. Otherwise all stay for all steps.
        keep: "best" returns the iterate of the highest loss over steps and restarts, where one
            that fools beats one that does not; "last" returns the last iterate unseen, which
            saves a forward pass, as in training and in published protocols; it goes with
            `restarts=1` and `stop_when_fooled=False`.
        precision: see `Attack`.

    Raises:
        ValueError: when a setting is impossible.
    """

    def __init__(
        self,
        threat: ThreatModel,
        *,
        steps: int = 40,
        step_size: float | str | None = None,
        restarts: int = 1,
        loss: str | Loss = "cross_entropy",
        random_start: bool = True,
        stop_when_fooled: bool = True,
        keep: str = "best",
        precision: str = "float32",
    ) -> None:
        super().__init__(threat, loss=loss, precision=precision)
        check_count("steps", steps)
        check_count("restarts", restarts)
        if keep not in KEEPS:
            raise ValueError(f"keep={keep!r}; allowed are {', '.join(KEEPS)}")
        if keep == "last" and (restarts > 1 or stop_when_fooled):
            raise ValueError(
                f"keep='last' with restarts={restarts}, stop_when_fooled={stop_when_fooled}; "
                "it goes with restarts=1, stop_when_fooled=False only"
            )
        self.steps = steps
        self.step_size = (
            2.5 * threat.eps / steps if step_size is None else read_length("step_size", step_size)
        )
        self.restarts = restarts
        self.random_start = random_start
        self.stop_when_fooled = stop_when_fooled
        self.keep = keep

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {
            "steps": self.steps,
            "step_size": self.step_size,
            "restarts": self.restarts,
            "random_start": self.random_start,
            "stop_when_fooled": self.stop_when_fooled,
            "keep": self.keep,
        }

    def _search(self, victim: Victim, x: Tensor, generator: torch.Generator | None) -> Found:
        starts = self._starts(x, generator)
        if self.keep == "last":
            return self._last(victim, x, starts(0, torch.arange(len(x), device=x.device)))
        return self._best(victim, x, starts)

    def _starts(
        self, x: Tensor, generator: torch.Generator | None
    ) -> Callable[[int, Tensor], Tensor]:
        """Function of (restart, rows) to starting points.

        The noise of all restarts is drawn before any example leaves, an example's own in a row, so
        that it depends on neither the batch's size nor its other examples.
        """
        if not self.random_start:
            return lambda _, rows: x[rows]
        pixels = math.prod(x.shape[1:])
        noise = self.threat.noise(len(x) * self.restarts, pixels, generator)
        noise = noise.view(len(x), self.restarts, pixels + 1)
        return lambda restart, rows: self.threat.start(x[rows], noise[rows, restart])

    def _last(self, victim: Victim, x: Tensor, current: Tensor) -> Found:
        project = self.threat.projection(x)
        means = []
        for _ in range(self.steps):
            gradient, losses, _ = victim.gradient(current)
            means.append(losses.mean())
            current = project(self._stepped(current, gradient))
        return Found(current, None, torch.stack(means))

    def _best(self, victim: Victim, x: Tensor, starts: Callable[[int, Tensor], Tensor]) -> Found:
        best = Best(x)
        rows = torch.arange(len(x), device=x.device)
        if self.stop_when_fooled:
            best.offer(rows, x, *victim.measure(x, rows))
        means: list[Tensor] = []
        for restart in range(self.restarts):
            if self.stop_when_fooled:
                rows = (~best.fooled).nonzero().squeeze(1)
            means += self._climb(victim, x, starts(restart, rows), rows, best)
        means = padded(means or [best.latest.mean()], self.steps)
        return Found(best.x, best.fooled, torch.stack(means))

    def _climb(
        self, victim: Victim, x: Tensor, current: Tensor, rows: Tensor, best: Best
    ) -> list[Tensor]:
        """One restart of those rows of the batch; mean loss at each step that was made."""
        means = []
        for _ in range(self.steps):
            if not len(rows):
                break
            gradient, losses, fooled = victim.gradient(current, rows)
            fooled = victim.confirmed(fooled, current, rows)
            best.offer(rows, current, losses, fooled)
            means.append(best.latest.mean())
            if self.stop_when_fooled and fooled.any():
                rows, current, gradient = (part[~fooled] for part in (rows, current, gradient))
            current = self.threat.project(self._stepped(current, gradient), x[rows])
        if len(rows):
            best.offer(rows, current, *victim.measure(current, rows))
        return means

    def _stepped(self, current: Tensor, gradient: Tensor) -> Tensor:
        return current.add(self.threat.ascent(gradient, current), alpha=self.step_size)

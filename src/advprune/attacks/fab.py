"""Fast adaptive boundary attack: the nearest image on the other side."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from advprune.attacks.base import Attack, Found, padded
from advprune.attacks.best import Nearest
from advprune.attacks.hyperplane import onto_hyperplane
from advprune.attacks.rounds import room, rounds
from advprune.attacks.victim import Victim
from advprune.choices import check_count
from advprune.threat import ThreatModel

Linear = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""(points, their pairs) → the gap to the boundary, (pairs,), its normal, (pairs, pixels), and the
mean of what the attack raises, ()."""


class FAB(Attack):
    """Steps onto the linearised boundary, drawn back towards the image.

    x ← (1 - α) (x + η d) + α (x₀ + η d₀), where d and d₀ lead from iterate and image onto the
    hyperplane at which the nearest class would win, and α = min(‖d‖ / (‖d‖ + ‖d₀‖), α_max). An
    iterate that fools is kept if it is the nearest yet, and the next starts at
    x₀ + β (x - x₀).

    Needs a gradient of every class at every step; `TargetedFAB` is for many classes. Towards a
    target given, both step onto the boundary between it and the likeliest other class.

    Source: Croce & Hein, "Minimally distorted adversarial examples with a fast adaptive boundary
    attack" (2020), algorithm 1, without its final search, as in AutoAttack.

    Args:
        threat: what the attacker may do. The radius decides which images fool and, halved, where
            later restarts begin; `AttackResult.distance` tells of farther ones too.
        steps: steps of a restart.
        restarts: number of starts, the first of them at the image itself.
        alpha_max: how much of a step may be drawn back.
        eta: overshooting.
        beta: where to go on between the image (0) and one that fools (1).
        stop_when_fooled: whether an image leaves as soon as one within the radius fools, or is
            searched on for a nearer one; the smallest distances are told only then.

    Raises:
        ValueError: when a setting is impossible.
    """

    def __init__(
        self,
        threat: ThreatModel,
        *,
        steps: int = 100,
        restarts: int = 1,
        alpha_max: float = 0.1,
        eta: float = 1.05,
        beta: float = 0.9,
        stop_when_fooled: bool = False,
    ) -> None:
        super().__init__(threat, loss="margin", precision="float32")
        check_count("steps", steps)
        check_count("restarts", restarts)
        _check_share("alpha_max", alpha_max, 0, 1)
        _check_share("eta", eta, 1, math.inf)
        _check_share("beta", beta, 0, 1)
        self.steps = steps
        self.restarts = restarts
        self.alpha_max = alpha_max
        self.eta = eta
        self.beta = beta
        self.stop_when_fooled = stop_when_fooled

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {
            "steps": self.steps,
            "restarts": self.restarts,
            "alpha_max": self.alpha_max,
            "eta": self.eta,
            "beta": self.beta,
            "stop_when_fooled": self.stop_when_fooled,
        }

    def _search(self, victim: Victim, x: Tensor, generator: torch.Generator | None) -> Found:
        logits = victim.logits(x)
        losses, fooled = victim.judge(logits)
        nearest = Nearest(self.threat, x, fooled)
        done = nearest.within if self.stop_when_fooled else lambda: fooled
        rounds_of = _towards_wanted if victim.wanted else self._rounds
        targets, linear_of = rounds_of(victim, logits)
        start = self._starts(x, targets, generator)
        means: list[Tensor] = []
        for rows, numbers in rounds(
            lambda: (~done()).nonzero().squeeze(1), targets * self.restarts, room(x)
        ):
            linear = linear_of(rows, numbers // self.restarts)
            climbed = self._climb(victim, nearest, rows, start(rows, numbers), linear)
            means = means or climbed
        means = means or [losses.mean()] * self.steps
        smallest = None if self.stop_when_fooled else nearest.distance
        return Found(nearest.allowed(), nearest.within(), torch.stack(means), smallest)

    def _starts(
        self, x: Tensor, targets: int, generator: torch.Generator | None
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """Function of (rows, rounds) to starting points; noise is drawn as `PGD` does."""
        if self.restarts == 1:
            return lambda rows, _: x[rows]
        near, pixels = self.threat.at(self.threat.eps / 2), math.prod(x.shape[1:])
        count = targets * self.restarts
        noise = near.noise(len(x) * count, pixels, generator).view(len(x), count, pixels + 1)

        def start(rows: Tensor, numbers: Tensor) -> Tensor:
            first = (numbers % self.restarts == 0)[:, None, None, None]
            return torch.where(first, x[rows], near.start(x[rows], noise[rows, numbers]))

        return start

    def _rounds(
        self, victim: Victim, _logits: Tensor
    ) -> tuple[int, Callable[[Tensor, Tensor], Linear]]:
        """How many targets there are, and a function of (rows, targets) to their boundaries."""

        def linear_of(rows: Tensor, _targets: Tensor) -> Linear:
            def linear(x: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
                return self._nearest_class(victim, x, victim.labels[rows[pairs]])

            return linear

        return 1, linear_of

    def _nearest_class(
        self, victim: Victim, x: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The boundary towards the class whose hyperplane is nearest."""
        every = torch.arange(len(x), device=x.device)
        logits, gradients = victim.class_gradients(x)
        gaps = logits[every, labels][:, None] - logits
        normals = (gradients - gradients[every, labels][:, None]).flatten(2)
        dual = {"linf": 1, "l2": 2, "l1": math.inf}[self.threat.norm]
        away = gaps.abs() / (torch.linalg.vector_norm(normals, ord=dual, dim=2) + 1e-12)
        away[every, labels] = math.inf
        chosen = away.argmin(1)
        return gaps[every, chosen], normals[every, chosen], -gaps[every, chosen].mean()

    def _climb(
        self, victim: Victim, nearest: Nearest, rows: Tensor, current: Tensor, linear: Linear
    ) -> list[Tensor]:
        """One run of each pair; the mean at each step of what is raised."""
        pairs, means = torch.arange(len(rows), device=rows.device), []
        for _ in range(self.steps):
            if not len(pairs):
                break
            centre = nearest.original[rows]
            gap, normal, mean = linear(current, pairs)
            means.append(mean)
            current = self._stepped(current, centre, gap, normal)
            fooled = victim.fooled(current, rows)
            if fooled.any():
                nearest.offer(rows[fooled], current[fooled])
                back = torch.lerp(centre, current, self.beta)
                current = torch.where(fooled[:, None, None, None], back, current)
                if self.stop_when_fooled:
                    kept = ~nearest.within()[rows]
                    rows, pairs, current = rows[kept], pairs[kept], current[kept]
        return padded(means, self.steps)

    def _stepped(self, current: Tensor, centre: Tensor, gap: Tensor, normal: Tensor) -> Tensor:
        points = torch.stack([current, centre]).flatten(2)
        moved = ((current - centre).flatten(1) * normal).sum(1)
        gaps = torch.stack([gap, gap + moved])
        steps = onto_hyperplane(points, normal, gaps, self.threat.norm, self.threat.bounds)
        own, other = (
            self.threat.distance(step, step.new_zeros(())).clamp(min=1e-8) for step in steps
        )
        alpha = (own / (own + other)).clamp(max=self.alpha_max)[:, None]
        ahead, drawn = points + self.eta * steps
        return torch.lerp(ahead, drawn, alpha).clamp_(*self.threat.bounds).view_as(current)


def _towards_wanted(victim: Victim, _logits: Tensor) -> tuple[int, Callable[..., Linear]]:
    """As `FAB._rounds`, with the class that the attacker asks for as the only one."""

    def linear_of(rows: Tensor, _targets: Tensor) -> Linear:
        def linear(x: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            normal, leads, _ = victim.gradient(x, rows[pairs])
            return -leads, normal.flatten(1), leads.mean()

        return linear

    return 1, linear_of


def _check_share(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name}={value!r}; allowed are numbers from {least} to {most}")

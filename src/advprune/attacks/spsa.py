"""Simultaneous perturbation stochastic approximation."""

import torch
from torch import Tensor

from advprune.attacks.base import Attack, Found
from advprune.attacks.best import Best
from advprune.attacks.losses import Loss
from advprune.attacks.row_noise import RowNoise
from advprune.attacks.victim import Victim
from advprune.choices import check_count
from advprune.threat import ThreatModel, read_length

BETAS = (0.9, 0.999)
"""Decay of Adam's two moments, as in Kingma & Ba (2015)."""

AT_ONCE = 4096
"""Images a query at most, so that memory stays small."""


class SPSA(Attack):
    """Ascent of a gradient that is estimated from the loss alone.

    g = mean over directions v ∈ {-1, 1}ᴰ of (loss(x + δv) - loss(x - δv)) / 2δ · v; x follows g by
    Adam's rule and is projected back into the threat model. It sees logits only, so it climbs where
    gradients are masked.

    Source: Uesato et al., "Adversarial risk and the dangers of evaluating against weak attacks"
    (2018), algorithm 1 and section 4.2: margin loss, δ = 0.01, Adam of rate 0.01, 100 steps; their
    strongest runs take 8,192 directions a step.

    Args:
        threat: what the attacker may do.
        steps: number of steps.
        directions: random directions a step, each two queries an image.
        delta: δ, in pixels; queries may leave the ball and the bounds by that much.
        rate: learning rate of Adam, in pixels: about the length of a pixel's step.
        loss: see `Attack`.
        stop_when_fooled: whether an example leaves the batch as soon as the model is fooled.

    Raises:
        ValueError: when a setting is impossible.
    """

    def __init__(
        self,
        threat: ThreatModel,
        *,
        steps: int = 100,
        directions: int = 128,
        delta: float | str = 0.01,
        rate: float | str = 0.01,
        loss: str | Loss = "margin",
        stop_when_fooled: bool = True,
    ) -> None:
        super().__init__(threat, loss=loss, precision="float32")
        check_count("steps", steps)
        check_count("directions", directions)
        self.steps = steps
        self.directions = directions
        self.delta = _positive("delta", delta)
        self.rate = _positive("rate", rate)
        self.stop_when_fooled = stop_when_fooled

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {
            "steps": self.steps,
            "directions": self.directions,
            "delta": self.delta,
            "rate": self.rate,
            "stop_when_fooled": self.stop_when_fooled,
        }

    def _search(self, victim: Victim, x: Tensor, generator: torch.Generator | None) -> Found:
        noise, best = RowNoise(len(x), generator), Best(x)
        rows = torch.arange(len(x), device=x.device)
        best.offer(rows, x, *victim.measure(x, rows))
        current, means = x.clone(), []
        first, second = torch.zeros_like(x), torch.zeros_like(x)
        for step in range(1, self.steps + 1):
            if self.stop_when_fooled:
                rows = best.left()
            means.append(best.latest.mean())
            if not len(rows):
                break
            gradient = self._estimate(victim, current[rows], rows, noise)
            first[rows] = torch.lerp(gradient, first[rows], BETAS[0])
            second[rows] = torch.lerp(gradient**2, second[rows], BETAS[1])
            mean, spread = (
                first[rows] / (1 - BETAS[0] ** step),
                second[rows] / (1 - BETAS[1] ** step),
            )
            moved = current[rows] + self.rate * mean / (spread.sqrt() + 1e-8)
            current[rows] = self.threat.project(moved, x[rows])
            best.offer(rows, current[rows], *victim.measure(current[rows], rows))
        means += [best.latest.mean()] * (self.steps + 1 - len(means))
        return Found(best.x, best.fooled, torch.stack(means[1:]))

    def _estimate(self, victim: Victim, x: Tensor, rows: Tensor, noise: RowNoise) -> Tensor:
        total = torch.zeros_like(x)
        at_once = max(1, AT_ONCE // (2 * len(x)))
        for done in range(0, self.directions, at_once):
            count = min(at_once, self.directions - done)
            v = noise.signs(rows, count, x[0].numel()).to(x).view(len(x), count, *x.shape[1:])
            tried = torch.stack([x[:, None] + self.delta * v, x[:, None] - self.delta * v], 1)
            losses, _ = victim.measure(tried.flatten(0, 2), rows.repeat_interleave(2 * count))
            up, down = losses.view(len(x), 2, count).unbind(1)
            slopes = (up - down).view(len(x), count, *[1] * (x.dim() - 1))
            total += (slopes * v).sum(1)
        return total / (2 * self.delta * self.directions)


def _positive(name: str, value: float | str) -> float:
    length = read_length(name, value)
    if length == 0:
        raise ValueError(f"{name}=0; allowed are lengths above 0")
    return length

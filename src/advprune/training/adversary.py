"""The attack inside training, on the network as it would ship now or with sampled gates."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from advprune.attacks import PGD
from advprune.attacks.losses import divergence_from
from advprune.gates import GatedModel
from advprune.models.gaussian import GaussianModel
from advprune.models.modes import evaluating
from advprune.threat import ThreatModel
from advprune.training import schedule
from advprune.training.state import Run, State

_UNBOUNDED = (-1e3, 1e3)


def eps_share(run: Run, state: State) -> float:
    """Share of the threat's eps in the step that comes next.

    That step is counted already, since the first one would have no radius at all.
    """
    elapsed = state.progress(run) + 1 / run.steps_per_epoch
    return schedule.warmup(state.phase(run).eps_warmup_epochs, elapsed)


def adversary(run: Run, state: State) -> "Adversary":
    """The adversary of the step that comes next."""
    if state.phase(run).attack.replays is None:
        return Attacker(run, state)
    return Replaying(run, state)


class Attacker:
    """Attacks each step anew; its noise is drawn from the state's generator.

    Attributes:
        watched: images whose gradient the step takes with that of the weights: none.

    Args:
        run: what the run was given.
        state: of the run; the attack's noise moves its generator.
    """

    watched: tuple[Tensor, ...] = ()

    def __init__(self, run: Run, state: State) -> None:
        self._run = run
        self._state = state
        self._settings = state.phase(run).attack

    def __call__(
        self, x: Tensor, y: Tensor, /, away_from: Tensor | Literal["itself"] | None = None
    ) -> Tensor:
        """Adversarial images; see `objectives.Adversary`."""
        victim = self._victim()
        with torch.autocast(x.device.type, enabled=False):  # the attack has a precision of its own
            if isinstance(away_from, str):
                away_from = _answer(victim, x)
            return self._attack(away_from)(victim, x, y, generator=self._state.attack)

    def learn(self, gradients: Sequence[Tensor | None]) -> None:
        """Takes in the gradients of what is watched."""
        del gradients

    def _attack(self, away_from: Tensor | None) -> PGD:
        share, settings = eps_share(self._run, self._state), self._settings
        return PGD(
            self._run.threat.at(self._run.threat.eps * share),
            steps=settings.steps,
            step_size=None if settings.step_size is None else settings.step_size * share,
            loss=settings.loss if away_from is None else divergence_from(away_from),
            random_start=settings.random_start,
            stop_when_fooled=False,
            keep="last",
            precision=settings.precision,
        )

    def _victim(self) -> nn.Module:
        sources = self._settings.sources
        turn = self._state.position.total % (len(sources) + 1)
        if turn:
            return self._run.networks[sources[turn - 1]]
        model = self._state.model
        if self._settings.on == "sampled" and isinstance(model, GatedModel | GaussianModel):
            return Sampled(model)
        return self._state.shippable()


class Replaying:
    """Free adversarial training: the perturbation moves along the gradients of training itself.

    `δ ← project(δ + ε ascent(∇_x loss))`, from one step to the next, whatever their images are.

    Source: Shafahi et al. 2019, "Adversarial training for free!" (arXiv 1904.12843), algorithm 1.

    Attributes:
        watched: the images of this step, once they were made.
    """

    def __init__(self, run: Run, state: State) -> None:
        self._threat = run.threat.at(run.threat.eps * eps_share(run, state))
        self._state = state
        self.watched: tuple[Tensor, ...] = ()

    def __call__(
        self, x: Tensor, y: Tensor, /, away_from: Tensor | Literal["itself"] | None = None
    ) -> Tensor:
        """The images, moved by what the steps before have learned."""
        del y, away_from
        before = self._state.perturbation
        moved = x.clone() if before is None else self._threat.project(x + before, x)
        self.watched = (moved.requires_grad_(),)
        return moved

    def learn(self, gradients: Sequence[Tensor | None]) -> None:
        """Moves the perturbation by a step of eps, in the ball alone: bounds follow the images."""
        for moved, gradient in zip(self.watched, gradients, strict=True):
            if gradient is not None:
                before = self._state.perturbation
                step = self._threat.eps * self._threat.ascent(gradient, moved.detach())
                ball = ThreatModel(self._threat.norm, self._threat.eps, _UNBOUNDED)
                moved_on = step if before is None else before + step
                self._state.perturbation = ball.project(moved_on, torch.zeros_like(step))


Adversary = Attacker | Replaying


@torch.no_grad()
def _answer(victim: nn.Module, x: Tensor) -> Tensor:
    with evaluating(victim):
        logits: Tensor = victim(x)
    return logits


class Sampled(nn.Module):
    """A model that draws its gates or weights while all its layers stay in evaluation mode.

    They are drawn anew in each step of an attack, which so climbs the expected loss (expectation
    over transformation: Athalye et al. 2018, arXiv 1707.07397).
    """

    def __init__(self, random: GatedModel | GaussianModel) -> None:
        super().__init__()
        self.random = random

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits under gates or weights drawn anew."""
        self.random.training = True  # the mode of the draws alone; an attack puts all modes back
        logits: Tensor = self.random(x)
        return logits

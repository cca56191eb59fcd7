"""The attack inside training, on the network as it would ship now or with sampled gates."""

from typing import Literal

import torch
from torch import Tensor, nn

from advprune.attacks import PGD
from advprune.attacks.losses import divergence_from
from advprune.gates import GatedModel
from advprune.models.modes import evaluating
from advprune.training import schedule
from advprune.training.state import Run, State


def eps_share(run: Run, state: State) -> float:
    """Share of the threat's eps in the step that comes next.

    That step is counted already, since the first one would have no radius at all.
    """
    elapsed = state.progress(run) + 1 / run.steps_per_epoch
    return schedule.warmup(state.phase(run).eps_warmup_epochs, elapsed)


class Attacker:
    """The adversary of the step that comes next; its noise is drawn from the state's generator.

    Args:
        run: what the run was given.
        state: of the run; the attack's noise moves its generator.
    """

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
        if self._settings.on == "sampled" and isinstance(self._state.model, GatedModel):
            return Sampled(self._state.model)
        return self._state.shippable()


@torch.no_grad()
def _answer(victim: nn.Module, x: Tensor) -> Tensor:
    with evaluating(victim):
        logits: Tensor = victim(x)
    return logits


class Sampled(nn.Module):
    """A gated model that samples its gates while all its layers stay in evaluation mode."""

    def __init__(self, gated: GatedModel) -> None:
        super().__init__()
        self.gated = gated

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits under gates drawn anew."""
        self.gated.training = True  # the mode of the gates alone; an attack puts all modes back
        logits: Tensor = self.gated(x)
        return logits

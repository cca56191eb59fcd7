"""One step: attack, objective, one gradient a group, weights first, then the optimisers."""

import torch
from torch import Tensor, nn

from advprune.attacks import PGD
from advprune.gates import GatedModel
from advprune.objectives import OBJECTIVES, Adversary, Batch, Coefficients, Losses
from advprune.training import average, budget, optimisers, schedule
from advprune.training.settings import Phase
from advprune.training.state import Run, State

_BUDGET_EVERY = 10
"""Steps between two moves of the budget's controller."""


def take(run: Run, state: State, x: Tensor, y: Tensor) -> None:
    """Takes one step on clean images; all that it changes is in ``state``."""
    phase = state.phase(run)
    with run.fabric.autocast():
        losses = OBJECTIVES[phase.objective](
            state.model, Batch(x, y), _adversary(run, state), _coefficients(run, state)
        )
    _descend(run, state, losses)
    state.position.step += 1
    state.position.total += 1
    if state.average and phase.average is not None:
        taken = state.position.epoch * run.steps_per_epoch + state.position.step
        average.update(state.average, state.model, phase.average, taken)
    _hold_budget(run, state)
    _add(state.sums, {"loss": losses.weights.detach(), **losses.parts})


def eps(run: Run, state: State) -> float:
    """The radius of the attack in the step that comes next."""
    return run.threat.eps * _eps_share(run, state)


def rate(run: Run, state: State) -> float:
    """Share of the peak learning rates in the step that comes next."""
    phase = state.phase(run)
    return schedule.rate_factor(phase, state.progress(run) / phase.epochs)


def beta(run: Run, state: State) -> float:
    """Weight of KL / N in the step that comes next."""
    phase = state.phase(run)
    risen = schedule.warmup(phase.kl_warmup_epochs, state.progress(run))
    return phase.beta * risen * state.controller.multiplier


def _descend(run: Run, state: State, losses: Losses) -> None:
    """Takes both gradients from the same forward pass before either group moves."""
    wanted = {"weights": losses.weights}
    if losses.gates is not None:
        wanted["gates"] = losses.gates
    gradients = {}
    for name, loss in wanted.items():
        gradients[name] = torch.autograd.grad(
            loss,
            list(state.groups[name].parameters.values()),
            retain_graph=name != list(wanted)[-1],
            allow_unused=True,
        )
    phase, factor = state.phase(run), rate(run, state)
    peaks = {"weights": phase.learning_rate, "gates": phase.gate_learning_rate}
    for name, gradient in gradients.items():
        optimiser = state.groups[name].optimiser
        optimisers.apply(optimiser, gradient, peaks[name] * factor, phase.gradient_clip)


def _coefficients(run: Run, state: State) -> Coefficients:
    phase = state.phase(run)
    return Coefficients(
        beta=beta(run, state),
        examples=len(run.splits.train),
        unit_weights=state.unit_weights,
        adversarial_weight=phase.adversarial_weight,
        vulnerability_weight=phase.vulnerability_weight,
        vulnerability_trains_gates=phase.vulnerability_trains_gates,
        gate_clean_weight=phase.gate_clean_weight,
    )


def _adversary(run: Run, state: State) -> Adversary:
    """The attack inside training, on the network as it would ship now or with sampled gates."""
    phase = state.phase(run)
    share = _eps_share(run, state)
    size = phase.attack.step_size
    attack = PGD(
        run.threat.at(run.threat.eps * share),
        steps=phase.attack.steps,
        step_size=None if size is None else size * share,
        loss=phase.attack.loss,
        stop_when_fooled=False,
        keep="last",
        precision=phase.attack.precision,
    )

    def attacked(x: Tensor, y: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # the attack has a precision of its own
            return attack(_victim(state, phase), x, y, generator=state.attack)

    return attacked


def _victim(state: State, phase: Phase) -> nn.Module:
    if phase.attack.on == "sampled" and isinstance(state.model, GatedModel):
        return _Sampled(state.model)
    return state.shippable()


class _Sampled(nn.Module):
    """A gated model that samples its gates while all its layers stay in evaluation mode."""

    def __init__(self, gated: GatedModel) -> None:
        super().__init__()
        self.gated = gated

    def forward(self, x: Tensor) -> Tensor:
        self.gated.training = True  # the mode of the gates alone; an attack puts all modes back
        logits: Tensor = self.gated(x)
        return logits


def _eps_share(run: Run, state: State) -> float:
    """Counts the step that comes next, since the first one would have no radius at all."""
    elapsed = state.progress(run) + 1 / run.steps_per_epoch
    return schedule.warmup(state.phase(run).eps_warmup_epochs, elapsed)


def _hold_budget(run: Run, state: State) -> None:
    phase, gated = state.phase(run), state.model
    if phase.budget is None or not isinstance(gated, GatedModel):
        return
    if state.position.total % _BUDGET_EVERY:
        return
    state.controller = budget.update(
        state.controller,
        budget.foreseen_macs(gated.structure, gated.means().detach()) / run.unpruned_macs,
        phase.budget,
        progress=state.progress(run) / phase.epochs,
        elapsed=_BUDGET_EVERY / (phase.epochs * run.steps_per_epoch),
    )


def _add(sums: dict[str, Tensor], figures: dict[str, Tensor]) -> None:
    for name, value in figures.items():
        sums[name] = sums[name] + value if name in sums else value.clone()

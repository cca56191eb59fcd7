"""One step: attack, objective, one gradient a group, weights first, then the optimisers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from advprune.gates import GatedModel
from advprune.objectives import (
    CERTIFIED,
    OBJECTIVES,
    PENALTIES,
    Batch,
    Certificate,
    Coefficients,
    Losses,
    Objective,
    penalised,
    perturbed,
    with_noisy_logits,
)
from advprune.training import average, budget, limits, optimisers, schedule, sparsity
from advprune.training.adversary import Adversary, adversary, eps_share
from advprune.training.cutting import project, show_kept
from advprune.training.settings import Phase
from advprune.training.state import Run, State

_BUDGET_EVERY = 10
"""Steps between two moves of the budget's controller."""


def take(run: Run, state: State, x: Tensor, y: Tensor) -> None:
    """Takes one step on clean images; all that it changes is in ``state``."""
    phase, attacker = state.phase(run), adversary(run, state)
    with run.fabric.autocast():
        losses = _objective(run, state, phase)(
            state.model, Batch(x, y, _taught(run, state, x)), attacker, _coefficients(run, state)
        )
    _descend(run, state, losses, attacker)
    _make_sparse(run, state)
    state.position.step += 1
    state.position.total += 1
    if state.average and phase.average is not None:
        taken = state.position.epoch * run.steps_per_epoch + state.position.step
        average.update(state.average, state.model, phase.average, taken)
    _hold_budget(run, state)
    _add(state.sums, {"loss": losses.weights.detach(), **losses.parts})


def rate(run: Run, state: State) -> float:
    """Share of the peak learning rates in the step that comes next."""
    phase = state.phase(run)
    return schedule.rate_factor(phase, state.progress(run) / phase.epochs)


def beta(run: Run, state: State) -> float:
    """Weight of KL / N in the step that comes next."""
    phase = state.phase(run)
    risen = schedule.warmup(phase.kl_warmup_epochs, state.progress(run))
    return phase.beta * risen * state.controller.multiplier


def certificate(run: Run, state: State) -> Certificate:
    """The bounds of the step that comes next, in a phase that trains on them."""
    settings, share = state.phase(run).certificate, eps_share(run, state)
    radius = settings.eps or run.threat.eps
    return Certificate(
        threat=run.threat.at(radius * share),
        bound=settings.bound,
        clean_weight=_between(settings.clean_weight, share),
        linear_share=_between(settings.linear_share, share),
        on=settings.on,
    )


def _objective(run: Run, state: State, phase: Phase) -> Objective:
    objective = OBJECTIVES[phase.objective]
    if phase.logit_noise:
        objective = with_noisy_logits(objective, phase.logit_noise)
    if phase.penalty is not None:
        objective = penalised(objective, PENALTIES[phase.penalty.name], phase.penalty.weight)
    if phase.sparsity is not None and phase.sparsity.admm is not None:
        objective = penalised(objective, sparsity.admm_penalty(state.duals), phase.sparsity.admm)
    begun = state.progress(run) >= phase.weight_perturbation_after
    if phase.weight_perturbation > 0 and begun:
        return perturbed(objective, phase.weight_perturbation)
    return objective


def _descend(run: Run, state: State, losses: Losses, attacker: Adversary) -> None:
    """Takes all gradients from the same forward pass before any group moves."""
    wanted = {"weights": losses.weights}
    if losses.gates is not None:
        wanted["gates"] = losses.gates
    gradients = {}
    for name, loss in wanted.items():
        gradients[name] = torch.autograd.grad(
            loss,
            [*_differentiated(state, name), *attacker.watched],
            retain_graph=name != list(wanted)[-1],
            allow_unused=True,
        )
    attacker.learn(gradients["weights"][len(_differentiated(state, "weights")) :])
    phase, factor = state.phase(run), rate(run, state)
    peaks = {"weights": phase.learning_rate, "gates": phase.gate_learning_rate}
    for name, found in gradients.items():
        optimiser, gradient = state.groups[name].optimiser, _of_parameters(state, name, found)
        optimisers.apply(optimiser, gradient, peaks[name] * factor, phase.gradient_clip)


def _make_sparse(run: Run, state: State) -> None:
    """What is done to the weights after each step."""
    phase = state.phase(run)
    if phase.shrinkage:
        moved = phase.learning_rate * rate(run, state)
        sparsity.shrink(state.model, moved * phase.shrinkage)
    sparsity.apply(state.masks, state.model)
    show_kept(state)
    every = None if phase.sparsity is None else phase.sparsity.every
    if every is not None and (state.position.step + 1) % every == 0:
        project(run, state)


def _differentiated(state: State, group: str) -> list[Tensor]:
    """What a group's loss is differentiated by: its parameters, or weights that scores choose."""
    if state.learned is None:
        return list(state.groups[group].parameters.values())
    return [state.model.get_parameter(name) for name in state.learned.weights]


def _of_parameters(
    state: State, group: str, gradients: Sequence[Tensor | None]
) -> Sequence[Tensor | None]:
    """The gradients of a group's parameters, from those of what its loss was differentiated by."""
    if state.learned is None:
        return gradients[: len(state.groups[group].parameters)]
    by_name = dict(zip(state.learned.weights, gradients, strict=False))
    return state.learned.pulled_back(by_name, state.position.epoch)


@torch.no_grad()
def _taught(run: Run, state: State, x: Tensor) -> Tensor | None:
    """What the phase's teacher answers to clean images."""
    teacher = state.phase(run).teacher
    if teacher is None:
        return None
    logits: Tensor = run.networks[teacher](x)
    return logits


def _coefficients(run: Run, state: State) -> Coefficients:
    phase = state.phase(run)
    return Coefficients(
        beta=beta(run, state),
        examples=len(run.splits.train),
        unit_weights=state.unit_weights,
        clean_weight=phase.clean_weight,
        adversarial_weight=phase.adversarial_weight,
        consistency_weight=phase.consistency_weight,
        temperature=phase.temperature,
        vulnerability_weight=phase.vulnerability_weight,
        vulnerability_trains_gates=phase.vulnerability_trains_gates,
        gate_clean_weight=phase.gate_clean_weight,
        certificate=certificate(run, state) if phase.objective in CERTIFIED else None,
    )


def _between(ends: tuple[float, float], share: float) -> float:
    """On the line from the first to the second."""
    return ends[0] + (ends[1] - ends[0]) * share


def _hold_budget(run: Run, state: State) -> None:
    phase, gated = state.phase(run), state.model
    if phase.budget is None or not isinstance(gated, GatedModel):
        return
    if state.position.total % _BUDGET_EVERY:
        return
    state.controller = budget.update(
        state.controller,
        budget.foreseen_macs(gated.structure, gated.scores()) / run.unpruned_macs,
        limits.in_macs(run, state),
        progress=state.progress(run) / phase.epochs,
        elapsed=_BUDGET_EVERY / (phase.epochs * run.steps_per_epoch),
    )


def _add(sums: dict[str, Tensor], figures: dict[str, Tensor]) -> None:
    for name, value in figures.items():
        sums[name] = sums[name] + value if name in sums else value.clone()

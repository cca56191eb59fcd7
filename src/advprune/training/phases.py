"""From one phase to the next: gating, settling on the budget, folding."""

import math
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn

from advprune.bounds import narrow_weights, network
from advprune.gates import CRITERIA, GatedModel, kept_units, remove, restore, settle
from advprune.models.gaussian import GaussianModel
from advprune.models.logits import answer_of
from advprune.models.modes import evaluating
from advprune.models.refusals import taking
from advprune.models.sparse_gaussian import SparseModel
from advprune.objectives import CERTIFIED
from advprune.structure import recalibrate
from advprune.training import average, limits, optimisers, sparsity
from advprune.training.cutting import choice, cut_weights
from advprune.training.equipping import equip, fresh
from advprune.training.parts import Budget
from advprune.training.state import Position, Run, State
from advprune.training.weighting import weigh

_TOLERANCE = 1.02
"""How far over its budget a network may be."""


def shaped(
    run: Run, stage: str, shape: Mapping[str, list[int]] | None, folded: Callable[[], nn.Module]
) -> nn.Module:
    """A network of the shape that a checkpoint was written in, its values still to be loaded.

    Args:
        run: What the run was given.
        stage: ``"dense"``, ``"gaussian"``, ``"gated"`` or ``"slim"``.
        shape: Units that a gated network still has.
        folded: Loads the gated network that a slim one was folded from.
    """
    if stage == "dense":
        return deepcopy(run.model)
    if stage == "gaussian":
        return _gaussian(run, run.model)
    if stage == "slim":
        return _folded(run, folded())
    gated = _gated(run, run.model)
    restore(gated, shape or {})
    return gated


def first(run: Run) -> State:
    """The state before the first step."""
    phase = run.settings.phases[0]
    begin = _BEGINNINGS.get(phase.on)
    model = deepcopy(run.model) if begin is None else begin(run, run.model)
    if phase.objective in CERTIFIED and phase.certificate.fresh:
        narrow_weights(model, torch.Generator().manual_seed(run.settings.seed))
    return fresh(run, model.to(run.fabric.device), Position())


def check(run: Run) -> None:
    """Finds out before any training whether the model fits the data, its gates and budgets.

    Raises:
        ValueError: It does not; the message names shapes, the operator, or the smallest cost.
    """
    _check_answer(run, "the model", run.model)
    for name, other in run.networks.items():
        _check_answer(run, name, other)
    _check_bounds(run)
    gated_phases = [phase for phase in run.settings.phases if phase.on == "gated"]
    for phase in gated_phases:
        gated = deepcopy(run.gated)
        if phase.budget is not None:
            _check_budget(run, phase.name, gated, phase.budget)


def begin_next(run: Run, state: State) -> None:
    """Moves on to the next phase: its kind of network, with new optimisers."""
    before = state.phase(run).on
    state.position.phase += 1
    state.position.epoch = 0
    phase = state.phase(run)
    if phase.on != before:
        state.model = _BEGINNINGS[phase.on](run, state.model).to(run.fabric.device)
    equip(state, run)


def finish(run: Run, state: State) -> None:
    """Ends a phase: its averaged weights for good; its budget met; batch norm re-estimated."""
    phase = state.phase(run)
    average.load(state.average, state.model)
    state.average = {}
    if isinstance(state.model, GatedModel) and phase.budget is not None:
        score = CRITERIA[phase.criterion](state.model)
        limits.measure_again(run, state, score)
        allowed = limits.share(run, state) * run.unpruned_macs
        settle(state.model, allowed, score, phase.budget.multiple)
    if phase.sparsity is not None:
        cut_weights(run, state, phase.sparsity)
    recalibrate(state.model, calibration(run))


def drop(run: Run, state: State, keep: Tensor) -> None:
    """Removes units for good; optimisers, average and idle counts keep what is kept.

    Args:
        run: What the run was given.
        state: In a gated phase.
        keep: (all units,) bool.
    """
    gated = state.model
    assert isinstance(gated, GatedModel)
    before = dict(gated.original)
    moments = {
        name: optimisers.tensors(group.optimiser, group.parameters)
        for name, group in state.groups.items()
    }
    slices = remove(gated, keep)
    state.groups = optimisers.grouped(gated, state.phase(run))
    for name, group in state.groups.items():
        cut = optimisers.sliced(moments[name], slices)
        optimisers.load(group.optimiser, group.parameters, cut)
    weigh(run, state)
    state.average = optimisers.sliced(state.average, slices)
    kept = [torch.isin(units, gated.original[name]) for name, units in before.items()]
    state.idle = state.idle[torch.cat(kept)]


def drop_idle(run: Run, state: State) -> None:
    """At an epoch's border: counts idle epochs, removes units idle for long enough.

    Nothing is removed once the network is below its budget: settling may want it back.
    """
    phase, gated = state.phase(run), state.model
    if not isinstance(gated, GatedModel):
        return
    alive = gated.keep()
    state.idle = torch.where(alive, 0, state.idle + 1)
    if phase.remove_dead_after is None or _below_budget(run, state, gated, alive):
        return
    keep = kept_units(gated, state.idle < phase.remove_dead_after)
    if not bool(keep.all()):
        drop(run, state, keep)


def update_duals(run: Run, state: State) -> None:
    """At an epoch's border: moves the sparse target of ADMM and its dual."""
    settings = state.phase(run).sparsity
    if state.duals and settings is not None:
        state.duals = sparsity.admm_update(state.duals, state.model, choice(run, settings))


def calibration(run: Run) -> Iterator[Tensor]:
    """The batches that re-estimate batch norm: two images at least in each, as a variance needs."""
    count = len(run.calibration)
    batches = min(math.ceil(count / run.settings.validation_batch_size), count // 2)
    for chosen in torch.tensor_split(torch.arange(count), max(1, batches)):
        yield run.calibration.subset(chosen).tensors()[0].to(run.fabric.device)


def at_budget(run: Run, state: State) -> bool:
    """Whether the network costs no more than 2 % over its phase's budget, if there is one."""
    phase = state.phase(run)
    if phase.budget is None or state.size is None:
        return True
    return state.size.macs <= _TOLERANCE * limits.share(run, state) * run.unpruned_macs


def _check_answer(run: Run, name: str, model: nn.Module) -> None:
    """Raises where a model does not answer real images with one logit a class."""
    images = run.splits.train.subset(range(min(run.settings.batch_size, len(run.splits.train))))
    classes = len(images.classes)
    x = images.tensors()[0].to(next(model.parameters()).device)
    with taking(name, x, images.name), evaluating(model), torch.no_grad():
        given = tuple(answer_of(model, x).shape)
    if given != (len(images), classes):
        raise ValueError(
            f"{name} answers {given} to {len(images)} images; {images.name} has {classes}"
            f" classes, so allowed are logits of shape {(len(images), classes)}"
        )


def _check_bounds(run: Run) -> None:
    """Raises where the radius of a certified phase is impossible, or an operator has no bound."""
    certified = [phase for phase in run.settings.phases if phase.objective in CERTIFIED]
    for phase in certified:
        run.threat.at(phase.certificate.eps or run.threat.eps)
    if certified:
        gates = any(phase.on == "gated" for phase in certified)
        network(run.gated if gates else run.model, run.example)


def _check_budget(run: Run, name: str, gated: GatedModel, budget: Budget) -> None:
    try:
        if budget.macs is None:
            limits.check_latency(run, budget)
        else:
            settle(gated, budget.macs * run.unpruned_macs, round_to=budget.multiple)
    except ValueError as error:
        given = (
            f"latency = {budget.latency} ms"
            if budget.macs is None
            else f"macs = {budget.macs} of {run.unpruned_macs}"
        )
        raise ValueError(f"training.phases.{name}.budget.{given}: {error}") from error


def _below_budget(run: Run, state: State, gated: GatedModel, alive: Tensor) -> bool:
    if state.phase(run).budget is None:
        return False
    return gated.structure.macs(alive) < limits.share(run, state) * run.unpruned_macs


def _gated(run: Run, model: nn.Module) -> GatedModel:
    gated = deepcopy(run.gated)  # its graph need not be exported again
    plain = model.shipped() if isinstance(model, GaussianModel) else model
    gated.model.load_state_dict(plain.state_dict())
    return gated


def _gaussian(run: Run, model: nn.Module) -> GaussianModel:
    settings = run.settings.gaussian
    if settings.family == "log_uniform":
        return SparseModel(deepcopy(model), start=settings.start, threshold=settings.threshold)
    return GaussianModel(deepcopy(model), start=settings.start, prior=settings.prior)


def _folded(run: Run, gated: nn.Module) -> nn.Module:
    assert isinstance(gated, GatedModel)
    return run.slim(gated, run.example.to(next(gated.parameters()).device))


_BEGINNINGS: dict[str, Callable[[Run, nn.Module], nn.Module]] = {
    "gaussian": _gaussian,
    "gated": _gated,
    "slim": _folded,
}
"""From the network of the phase before to that of the first phase of a kind."""

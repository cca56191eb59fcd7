"""Which weights a phase sets to 0, and when."""

from torch import nn

from advprune.training import importance, optimisers, sparsity
from advprune.training.optimisers import Group
from advprune.training.parts import Sparsity
from advprune.training.settings import Phase
from advprune.training.state import Run, State


def begin_cutting(run: Run, state: State, phase: Phase, settings: Sparsity) -> None:
    """Begins a phase that keeps weights at 0: cuts them, or makes ready to choose them."""
    if settings.learned is not None:
        state.learned = _importance(run, state.model, settings)
        trained = state.learned.parameters
        adam = optimisers.adam(trained, phase.learning_rate, phase.weight_decay)
        state.groups = {"weights": Group(trained, adam)}
        show_kept(state)
    elif settings.admm is not None:
        state.duals = sparsity.admm_start(state.model, choice(run, settings))
    elif settings.every is None:
        cut_weights(run, state, settings)


def _importance(run: Run, model: nn.Module, settings: Sparsity) -> importance.Importance:
    if settings.learned == "scores":
        return importance.scored(model, choice(run, settings))
    return importance.rated(model, choice(run, settings), 1 - settings.share, settings.pressure)


def show_kept(state: State) -> None:
    """Puts the weights that are kept as the scores are now into the model, and 0 for the others."""
    if state.learned is not None:
        importance.write(state.learned, state.model, state.learned.masks())


def project(run: Run, state: State) -> None:
    """Sets what is not chosen to 0 now; it may grow again."""
    settings = state.phase(run).sparsity
    assert settings is not None
    kept = choice(run, settings)(sparsity.prunable(state.model))
    sparsity.apply(kept, state.model)


def choice(run: Run, settings: Sparsity) -> sparsity.Choice:
    """How a phase chooses the weights that it keeps."""
    structure = run.unpruned if settings.scope == "channel" else None
    return sparsity.choice(settings.share, settings.scope, structure)


def cut_weights(run: Run, state: State, settings: Sparsity) -> None:
    """Sets what is not chosen to 0, where it stays until the phase ends."""
    if state.learned is not None:
        state.learned.settle()
        state.masks = state.learned.masks()
        importance.write(state.learned, state.model, state.masks)
        return
    state.masks = choice(run, settings)(sparsity.prunable(state.model))
    sparsity.apply(state.masks, state.model)

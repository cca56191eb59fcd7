"""What a phase trains its network with: optimisers, cuts, averages, weights of the KL."""

import torch
from torch import Tensor, nn

from advprune.gates import CurrentNetwork, GatedModel
from advprune.training import average, optimisers
from advprune.training.budget import Controller
from advprune.training.cutting import begin_cutting
from advprune.training.state import Position, Run, State
from advprune.training.weighting import weigh

_ATTACK_STREAM = 1_000_003
"""Of a run's seed, so far from others that those of neighbouring runs do not meet."""


def fresh(
    run: Run, model: nn.Module, position: Position, unit_seconds: Tensor | None = None
) -> State:
    """A state in which nothing has been trained yet, for a model of the position's phase.

    Args:
        run: What the run was given.
        model: To be trained.
        position: Where the run stands.
        unit_seconds: What the run has measured already.
    """
    order = torch.Generator().manual_seed(run.settings.seed)
    state = State(
        model=model,
        position=position,
        groups={},
        average={},
        idle=torch.empty(0),
        order=order,
        order_at_start=order.get_state(),
        attack=torch.Generator().manual_seed(run.settings.seed + _ATTACK_STREAM),
        unit_seconds=unit_seconds,
    )
    equip(state, run)
    return state


def equip(state: State, run: Run) -> None:
    """Gives the state's model what its phase trains it with, all of it new."""
    phase = state.phase(run)
    state.groups = optimisers.grouped(state.model, phase)
    state.masks, state.duals, state.learned = {}, {}, None
    if phase.sparsity is not None:
        begin_cutting(run, state, phase, phase.sparsity)
    state.average = average.start(state.model) if phase.average is not None else {}
    state.controller, state.affordable = Controller(), None
    state.perturbation = None
    state.current, state.unit_weights, state.idle = None, None, torch.empty(0)
    if isinstance(state.model, GatedModel):
        state.current = CurrentNetwork(state.model)
        weigh(run, state)
        state.idle = torch.zeros(state.model.structure.units, dtype=torch.int64)

"""What a phase's budget comes to in multiply-accumulates; one of time is measured."""

from copy import deepcopy
from functools import partial
from statistics import median

from torch import Tensor

from advprune.gates import GatedModel, even, largest_share, within
from advprune.gates.cutting import GatedCut
from advprune.models.timing import seconds_in_turns
from advprune.structure import least
from advprune.training.parts import Budget
from advprune.training.state import Run, State

_ROUNDS, _WARM_UP = 30, 5
_HEADROOM = 1.1
"""A trained network of the share held may be faster than the evenly cut one that gave the share."""


def share(run: Run, state: State) -> float:
    """The share of the unpruned multiply-accumulates that the phase's budget allows.

    That of a latency is measured once a phase, on the unpruned network cut evenly.
    """
    budget = state.phase(run).budget
    assert budget is not None
    if budget.macs is not None:
        return budget.macs
    if state.affordable is None:
        state.affordable = _measured(run, run.gated, budget, even(run.unpruned), 1.0)
    return state.affordable


def in_macs(run: Run, state: State) -> Budget:
    """The phase's budget as a share of multiply-accumulates."""
    budget = state.phase(run).budget
    assert budget is not None
    return budget.model_copy(update={"macs": share(run, state)})


def measure_again(run: Run, state: State, score: Tensor) -> None:
    """Finds the share anew for the network as it was trained, where the budget is a latency.

    Args:
        run: What the run was given.
        state: At the end of a gated phase.
        score: (all units,), by which the network will be cut.
    """
    budget, gated = state.phase(run).budget, state.model
    assert isinstance(gated, GatedModel)
    if budget is not None and budget.latency is not None:
        top = min(1.0, _HEADROOM * share(run, state))
        state.affordable = _measured(run, deepcopy(gated).cpu(), budget, score.cpu(), top)


def milliseconds(run: Run, gated: GatedModel, keep: Tensor) -> float:
    """The median time of one image through the network that is left, on the CPU.

    Args:
        run: What the run was given.
        gated: On the CPU.
        keep: (all units,) bool.
    """
    cut = GatedCut(gated, keep)
    cut.refresh(gated.expected().detach())
    cut.select_inputs()
    passes = {"cut": partial(cut.network, run.example[:1].cpu())}
    taken = seconds_in_turns({"cut": cut.network}, passes, rounds=_ROUNDS, warmup=_WARM_UP)
    return 1e3 * median(taken["cut"])


def check_latency(run: Run, budget: Budget) -> None:
    """Raises where the smallest network is not within the budget's time."""
    taken = milliseconds(run, run.gated, least(run.unpruned))
    if budget.latency is not None and taken > budget.latency:
        raise ValueError(f"the smallest network takes {taken:.3g} ms already")


def _measured(run: Run, gated: GatedModel, budget: Budget, score: Tensor, top: float) -> float:
    """The largest share, of those tried, whose network is within the budget's time."""
    structure, limit = gated.structure, budget.latency
    assert limit is not None

    def fits(share: float) -> bool:
        try:
            keep = within(
                structure, gated.keep(), score, share * run.unpruned_macs, budget.multiple
            )
        except ValueError:  # less than one unit a group
            return False
        return milliseconds(run, gated, keep) <= limit

    smallest = structure.macs(least(structure)) / run.unpruned_macs
    return largest_share(fits, top) or smallest

"""What weighs a unit's KL: nothing, the multiply-accumulates it costs, or the time."""

import time
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from advprune.gates import GatedModel
from advprune.gates.cutting import GatedCut
from advprune.models.timing import seconds_in_turns
from advprune.structure import least
from advprune.training.state import Run, State

_ROUNDS, _WARM_UP = 10, 2


def weigh(run: Run, state: State) -> None:
    """Gives the units of a gated phase's network the factors on their KL, in place.

    A unit's factor is in proportion to what would go if it alone were removed from the unpruned
    network: taken from the present one, cheap layers would be spared the more the sooner others
    shrink. The factors have mean 1 over the unpruned network; (units that are left,), or None for
    1 each.
    """
    gated = state.model
    assert isinstance(gated, GatedModel)
    costs = _costs(run, state)
    if costs is None:
        state.unit_weights = None
        return
    by_group = run.unpruned.split(costs / costs.mean())
    left = [by_group[name][units] for name, units in gated.original.items()]
    state.unit_weights = torch.cat(left).to(run.fabric.device, torch.float32)


def _costs(run: Run, state: State) -> Tensor | None:
    """What each unit of the unpruned network costs, (all units,), in any measure."""
    weighting = state.phase(run).kl_weighting
    if weighting == "units":
        return None
    if weighting == "macs":
        return run.unpruned.unit_macs()
    if state.unit_seconds is None:
        state.unit_seconds = measured(run.gated, _images(run))
    return state.unit_seconds


def _images(run: Run) -> Tensor:
    count = min(run.settings.batch_size, len(run.splits.train))
    return run.splits.train.subset(range(count)).tensors()[0]


def measured(gated: GatedModel, images: Tensor) -> Tensor:
    """Measures, (all units,), the seconds that go when one unit of each group goes.

    Time moves in steps of several channels, and that of one drowns in noise. So for each group the
    network with all of it and the one with as little of it as can be run in turns, and the median
    difference of processor time, which other programs disturb little, is shared among the units
    removed; a group that saves no time counts as 0.

    Args:
        gated: The unpruned network, on the CPU.
        images: (batch, channels, height, width), one pass.

    Raises:
        ValueError: No group saves any time.
    """
    seconds = torch.zeros(gated.structure.units, dtype=torch.float64)
    for name, group in gated.structure.groups.items():
        whole = torch.ones(gated.structure.units, dtype=torch.bool)
        left = whole.clone()
        left[group.span] = least(gated.structure, {name})[group.span]
        networks = {"whole": _cut(gated, whole), "cut": _cut(gated, left)}
        times = _times(networks, images)
        saved = (torch.tensor(times["whole"]) - torch.tensor(times["cut"])).median()
        seconds[group.span] = float(saved.clamp_min(0)) / max(1, int((~left).sum()))
    if not bool(seconds.any()):
        raise ValueError(
            f"kl_weighting: latency: no group of units saves time that can be measured over"
            f" {len(images)} images a pass; use macs, or a larger batch_size"
        )
    return seconds


def _times(networks: Mapping[str, nn.Module], images: Tensor) -> dict[str, list[float]]:
    passes = {name: partial(network, images) for name, network in networks.items()}
    return seconds_in_turns(
        networks, passes, rounds=_ROUNDS, warmup=_WARM_UP, clock=time.process_time
    )


def _cut(gated: GatedModel, keep: Tensor) -> nn.Module:
    cut = GatedCut(gated, keep)
    cut.refresh(gated.expected().detach())
    cut.select_inputs()
    return cut.network

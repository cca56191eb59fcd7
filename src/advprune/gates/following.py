"""Removing dead units in a training loop of one's own, with everything that follows."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from advprune.gates.gated import GatedModel
from advprune.gates.removal import kept_units, remove
from advprune.structure.resize import sliced

Slices = Mapping[str, Mapping[int, Tensor]]


def remove_dead(
    gated: GatedModel,
    optimisers: torch.optim.Optimizer | Iterable[torch.optim.Optimizer] = (),
    averages: Iterable[dict[str, Tensor]] = (),
) -> int:
    """Removes the units that are closed now, for good, in place; optimisers and averages follow.

    Optimisers keep their parameter groups, so learning-rate schedules go on; of each state tensor
    shaped like its parameter, what was kept is kept.

    Args:
        gated: the model.
        optimisers: those that train its parameters.
        averages: moving averages of its parameters, by the names of `gated.named_parameters()`.

    Returns:
        How many units were removed.
    """
    keep = kept_units(gated, gated.keep())
    gone = int((~keep).sum())
    if not gone:
        return 0
    before = dict(gated.named_parameters())
    slices = remove(gated, keep)
    after = dict(gated.named_parameters())
    if isinstance(optimisers, torch.optim.Optimizer):
        optimisers = (optimisers,)
    for optimiser in optimisers:
        for name, old in before.items():
            if after[name] is not old:
                _follow(optimiser, old, after[name], slices.get(name, {}))
    for average in averages:
        average.update(
            {name: sliced(value, slices.get(name, {})) for name, value in average.items()}
        )
    return gone


def _follow(
    optimiser: torch.optim.Optimizer,
    old: nn.Parameter,
    new: nn.Parameter,
    kept: Mapping[int, Tensor],
) -> None:
    for group in optimiser.param_groups:
        group["params"] = [new if parameter is old else parameter for parameter in group["params"]]
    state = optimiser.state.pop(old, None)
    if state is not None:
        optimiser.state[new] = {
            key: sliced(value, kept)
            if isinstance(value, Tensor) and value.shape == old.shape
            else value
            for key, value in state.items()
        }

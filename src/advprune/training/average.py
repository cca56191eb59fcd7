"""Exponential moving average of a network's parameters."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Average = dict[str, Tensor]


def start(model: nn.Module) -> Average:
    """An average that begins at the parameters as they are."""
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def update(average: Average, model: nn.Module, decay: float, steps: int) -> None:
    """Moves the average towards the parameters, in place.

    Args:
        average: By name of the parameter.
        model: Whose parameters have just been stepped.
        decay: Share that stays; early on it is less, ``(1 + steps) / (10 + steps)``, so that the
            first, untrained parameters are forgotten.
        steps: Steps taken since the average began.
    """
    rate = 1 - min(decay, (1 + steps) / (10 + steps))
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        torch._foreach_lerp_(list(average.values()), [parameters[name] for name in average], rate)


@contextmanager
def applied(average: Average, model: nn.Module) -> Iterator[None]:
    """Puts the averaged parameters into the model, and everything back as it was on leaving.

    Buffers are put back too, so that batch norm may be recalibrated inside.
    """
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    load(average, model)
    try:
        yield
    finally:
        model.load_state_dict(before)


def load(average: Average, model: nn.Module) -> None:
    """Copies the average into the model for good."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in average.items():
            parameters[name].copy_(value)

"""Leaving a model as it was found."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """The model in evaluation mode; each module's own mode comes back, after an exception too.

    Modes are put back module by module, since `model.train()` would wake modules that their owner
    keeps in evaluation mode.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield model.eval()
    finally:
        for module, mode in modes:
            module.training = mode

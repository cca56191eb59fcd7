"""Two halves of a batch that share their random draws."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

RANDOM = {
    torch.dropout,
    torch.feature_dropout,
    torch.alpha_dropout,
    torch.feature_alpha_dropout,
    torch.nn.functional.dropout,
    torch.nn.functional.dropout1d,
    torch.nn.functional.dropout2d,
    torch.nn.functional.dropout3d,
    torch.nn.functional.alpha_dropout,
    torch.nn.functional.feature_alpha_dropout,
    torch.nn.functional.rrelu,
}


class SharedNoise(TorchFunctionMode):
    """While active, dropout and its kin treat both halves of the batch alike.

    Each half runs from the same state of the random generator, so whatever is drawn for an example
    is drawn for its counterpart too.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Runs a random function on each half by itself, every other function as it is."""
        kwargs = kwargs or {}
        if func not in RANDOM:
            return func(*args, **kwargs)
        x, *others = args or [kwargs.pop("input")]
        half = len(x) // 2
        state = _state(x)
        # slices, since autograd lets no function work in place on what `chunk` gives
        first = func(x[:half], *others, **kwargs)
        _restore(x, state)
        return torch.cat([first, func(x[half:], *others, **kwargs)])


def _state(like: Tensor) -> Tensor:
    return torch.cuda.get_rng_state(like.device) if like.is_cuda else torch.get_rng_state()


def _restore(like: Tensor, state: Tensor) -> None:
    if like.is_cuda:
        torch.cuda.set_rng_state(state, like.device)
    else:
        torch.set_rng_state(state)

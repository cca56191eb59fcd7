"""Outputs, gradients and layers that mislead attacks, looked for on one batch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from advprune.attacks import EOT, Attack
from advprune.attacks.losses import Loss, dlr, margin
from advprune.evaluation.checks.table import exceeding
from advprune.evaluation.result import Finding

IMAGES = 8
"""Images on which layers are looked at."""

LEAST, LOOKED_AT, FEW = 64, 4096, 64
"""Values other than 0 that a layer must put out to be judged; those that are looked at; and how
many may differ, at most, and be at most a quarter of the former, for few."""


def check_model(
    model: nn.Module, x: Tensor, y: Tensor, attacks: Iterable[Attack] = ()
) -> Iterator[Finding]:
    """Look for outputs, gradients and layers that mislead attacks.

    Args:
        model: Classifier in evaluation mode.
        x: Images, (batch, channels, height, width).
        y: True classes, (batch,).
        attacks: What the model meets: random output is what it must be where one of them takes
            means over draws.
    """
    averaged = any(isinstance(attack, EOT) for attack in attacks)
    random = "random output, averaged attacks" if averaged else "random output"
    with torch.no_grad():
        first, second = model(x), model(x)
    losses = [margin] if first.shape[1] < 3 else [margin, dlr]
    figures = {
        random: (first - second).abs().max().item(),
        "output is probabilities": _share_of_probabilities(first),
        "zero gradients": max(_share_of_zero_gradients(model, x, y, loss) for loss in losses),
        "integer-valued layers": float(_integer_valued(model, x[:IMAGES])),
    }
    yield from exceeding(figures)


def _share_of_probabilities(outputs: Tensor) -> float:
    within = (outputs >= 0).all(1) & (outputs <= 1).all(1)
    return (within & ((outputs.sum(1) - 1).abs() < 1e-4)).float().mean().item()


def _share_of_zero_gradients(model: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> float:
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(loss(model(x), y).sum(), x)
    return (gradient.flatten(1).abs().amax(1) == 0).float().mean().item()


def _integer_valued(model: nn.Module, x: Tensor) -> int:
    """How many operations turn many values into few.

    The images are mixed with noise first, since those of 8 bits, or less, have few values already.
    """
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).to(x)
    mixed, seen = 0.9 * x + 0.1 * noise, _Values(len(x))
    with torch.no_grad(), seen:
        model(mixed)
    return seen.found


class _Values(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch states no types
    """Counts the operations on a batch whose output has few values where an input had many."""

    def __init__(self, batch: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.batch, self.found = batch, 0
        self._few: dict[int, Tensor] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operator and look at its values."""
        out = func(*args, **kwargs or {})
        if isinstance(out, Tensor) and self._has_few(out):
            given = [part for part in args if isinstance(part, Tensor)]
            self.found += not any(id(part) in self._few for part in given)
            self._few[id(out)] = out  # kept, so that its id stays its own
        return out

    def _has_few(self, out: Tensor) -> bool:
        if out.dim() < 2 or len(out) != self.batch or not out.is_floating_point():
            return False
        values = out.flatten()[:LOOKED_AT]
        nonzero = int((values != 0).sum())  # of a sparse layer few, but no two alike
        return nonzero >= LEAST and 1 < len(set(values.tolist())) <= min(FEW, nonzero / 4)

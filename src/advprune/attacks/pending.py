"""Convolutions that wait until it is known what follows them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from advprune.attacks.one_channel import OneChannelConv


class CannotWaitError(RuntimeError):
    """Something unknown is done with a pending tensor: compute without one."""


@dataclass(frozen=True, eq=False)
class Deferred:
    """`conv2d(x, weight, bias, padding=padding)`, or its ReLU.

    Attributes:
        x: Images, (batch, channels, height, width).
        weight: Kernels.
        bias: One number an output, or None.
        padding: Rows above and below, columns left and right.
        rectified: Whether the ReLU is included.
        with_gradient: Whether autograd recorded when it was called.
    """

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    padding: tuple[int, int]
    rectified: bool = False
    with_gradient: bool = field(default_factory=torch.is_grad_enabled)

    @property
    def shape(self) -> torch.Size:
        """Of the value."""
        sizes = zip(self.x.shape[2:], self.weight.shape[2:], self.padding, strict=True)
        plane = (size - kernel + 1 + 2 * around for size, kernel, around in sizes)
        return torch.Size((len(self.x), len(self.weight), *plane))

    @cached_property
    def value(self) -> Tensor:
        """What it is.

        Raises:
            CannotWaitError: gradients are not recorded as they were when it was called.
        """
        if torch.is_grad_enabled() != self.with_gradient:
            raise CannotWaitError("a pending tensor was made with another mode of autograd")
        result = self._conv()
        return result.relu() if self.rectified else result

    def _conv(self) -> Tensor:
        if self.weight.shape[1] > 1:
            return functional.conv2d(self.x, self.weight, self.bias, padding=self.padding)
        result: Tensor = OneChannelConv.apply(self.x, self.weight, self.bias, self.padding)  # type: ignore[no-untyped-call]
        return result

    def relu(self) -> "Deferred":
        """Its ReLU."""
        return replace(self, rectified=True)


class Pending(Tensor):
    """A tensor whose values are computed when an operator asks for them.

    Only operators that Python calls, with autograd as it was, are known to be done right with the
    values instead. Others (custom functions, scripted ones, blocks without gradient) may lose the
    gradient unseen.

    Raises:
        CannotWaitError: such an operator is called.
    """

    deferred: Deferred

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Calls an operator on the values."""
        return func(*_valued(tuple(args)), **_valued(dict(kwargs or {})))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override] # mypy takes the base for a static method
        cls,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Refuses every kernel."""
        raise CannotWaitError(f"{func} meets a pending tensor")


def pending(deferred: Deferred) -> Pending:
    """Returns a tensor of the convolution's shape, without values yet."""
    result: Pending = torch.Tensor._make_wrapper_subclass(  # noqa: SLF001
        Pending, deferred.shape, dtype=deferred.x.dtype, device=deferred.x.device
    )
    result.deferred = deferred
    return result


def _valued(arguments: Any) -> Any:
    """Returns the arguments with the values of what is pending."""
    if isinstance(arguments, Pending):
        return arguments.deferred.value
    if isinstance(arguments, (tuple, list)):
        return type(arguments)(_valued(part) for part in arguments)
    if isinstance(arguments, dict):
        return {name: _valued(part) for name, part in arguments.items()}
    return arguments

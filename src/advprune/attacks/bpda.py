"""Another gradient for a layer that hides its own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

StandIn = Callable[..., Tensor]
"""Function of a layer's inputs to something like its output, with the gradient wanted."""


def identity(x: Tensor) -> Tensor:
    """The stand-in for layers g with g(x) ≈ x, such as a rounding of the image."""
    return x


@contextmanager
def backward_as(model: nn.Module, stand_ins: Mapping[str, StandIn]) -> Iterator[nn.Module]:
    """While open, named layers answer as ever, but their gradients are those of stand-ins.

    A layer's forward pass is its own, to the bit, and runs without gradient, so that it may leave
    torch; backward, ∂layer/∂x is replaced by ∂stand_in/∂x at the same x (BPDA). Every attack and
    `evaluate` then see the model so. Afterwards the model is what it was, after an exception too.

        with backward_as(model, {"squeeze": identity}):
            evaluate(model, data, threat)

    Source: Athalye, Carlini & Wagner, "Obfuscated gradients give a false sense of security"
    (2018), section 4.1.

    Args:
        model: the model.
        stand_ins: by the layer's name in `model.named_modules()`, "" for the model itself; each is
            called as the layer is, and gives a tensor of the same shape.

    Raises:
        ValueError: when the model has no such layer, or a stand-in gives another shape.
    """
    layers = dict(model.named_modules())
    for name in stand_ins:
        if name not in layers:
            raise ValueError(f"no layer {name!r}; the model has {', '.join(map(repr, layers))}")
    with ExitStack() as put_back:
        for name, stand_in in stand_ins.items():
            layer = layers[name]
            put_back.callback(_restore, layer, layer.__dict__.get("forward"))
            object.__setattr__(layer, "forward", _Swapped(name, layer.forward, stand_in))
        yield model


def borrowed(model: nn.Module) -> dict[str, str]:
    """Whose gradients layers have in place of their own while `backward_as` is open.

    By the layer's name, "" for the model itself: what the stand-in says by its attribute `whose`,
    or else its name.
    """
    forwards = {name: vars(layer).get("forward") for name, layer in model.named_modules()}
    return {
        name: forward.whose for name, forward in forwards.items() if isinstance(forward, _Swapped)
    }


@dataclass(frozen=True)
class _Swapped:
    name: str
    forward: Callable[..., Any]
    stand_in: StandIn

    def __call__(self, *inputs: Any) -> Tensor:
        with torch.no_grad():
            value: Tensor = self.forward(*inputs)
        if not torch.is_grad_enabled():
            return value
        instead = self.stand_in(*inputs)
        if instead.shape != value.shape:
            raise ValueError(
                f"the stand-in for {self.name!r} gives {tuple(instead.shape)}; "
                f"allowed is the layer's own {tuple(value.shape)}"
            )
        result: Tensor = _Swap.apply(value, instead)  # type: ignore[no-untyped-call]
        return result

    @property
    def whose(self) -> str:
        named = getattr(self.stand_in, "__name__", type(self.stand_in).__name__)
        return str(getattr(self.stand_in, "whose", named))


def _restore(layer: nn.Module, forward: Callable[..., Any] | None) -> None:
    object.__delattr__(layer, "forward")
    if forward is not None:
        object.__setattr__(layer, "forward", forward)


class _Swap(torch.autograd.Function):
    """The first argument's value with the second one's gradient."""

    @staticmethod
    def forward(_ctx: Any, value: Tensor, _instead: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, gradients[0]

"""What a network costs: parameters, multiply-accumulates, activations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from advprune.models import evaluating
from advprune.models.logits import asked

COUNTED = (torch.ops.aten.convolution, torch.ops.aten.addmm, torch.ops.aten.mm)
"""The operators that convolutions and linear layers come down to, written as modules or not."""


@dataclass(frozen=True)
class Cost:
    """Size and work of a network.

    Attributes:
        parameters: Learnable numbers; one shared by several layers counts once.
        macs: Multiply-accumulates of convolutions and linear layers for one example.
        activations: Elements that convolutions and linear layers put out for one example.
        bytes: Storage of parameters and buffers in their own precision.
    """

    parameters: int
    macs: int
    activations: int
    bytes: int


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch states no types
    """Adds up the work of every convolution and matrix product that runs inside it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0
        self.activations = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        operator: Callable[..., Any] = func.overloadpacket
        if operator in COUNTED:
            self.macs += flop_registry[operator](*args, **kwargs, out_val=out) // 2
            self.activations += out.numel()
        return out


def cost(model: nn.Module, example_input: Tensor) -> Cost:
    """Count a network's parameters, multiply-accumulates and activations.

    The network runs once on one example, in evaluation mode, and every convolution (transposed
    too) and linear product is counted by the shapes it meets, so that functional calls count as
    layers do. Products that are neither (attention's, batched) are left out.

    Args:
        model: Any network; it is left as it was.
        example_input: (batch, ...), any batch size; the first example is used.

    Returns:
        The counts for one example.

    Raises:
        ValueError: The network takes more than one input.
    """
    counter = _Counter()
    with evaluating(model), torch.no_grad(), counter:
        asked(model, example_input[:1])
    stored = [*model.parameters(), *model.buffers()]
    return Cost(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        macs=counter.macs,
        activations=counter.activations,
        bytes=sum(tensor.numel() * tensor.element_size() for tensor in stored),
    )

"""Faster gradients with respect to images, where the framework's kernels are slow.

Ordinary training never needs the gradient of a first layer's input, so that backends do not tune
it, and their max-pooling of planes is scalar code. Inside `fast_input_gradients` some operators are
replaced by equals on the CPU, chosen by shape alone so that a run always computes the same numbers:

- convolutions of one channel, whose backward becomes one matrix product into the kernel's taps and
  a sum of shifted planes;
- max-pooling of 2 by 2 pixels in contiguous planes, which becomes three vectorised maxima. Ties go
  to the first pixel in reading order, as in PyTorch;
- convolutions of 8 channels or more, which run with their channels last in memory; `view`, which
  would refuse such tensors, copies where it must.

Gradients of parameters do not pass the first of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class fast_input_gradients(TorchFunctionMode):  # noqa: N801 - used as a context, like torch.no_grad
    """Context in which a model's forward pass prepares a fast gradient of its images."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call an operator, or its equal."""
        replacement = _REPLACEMENTS.get(func)
        result = None
        if replacement and args and args[0].device.type == "cpu":
            result = replacement(*args, **kwargs or {})
        return func(*args, **kwargs or {}) if result is None else result


def _conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor | None:
    if weight.shape[1] >= _CHANNELS_LAST_FROM and x.dim() == 4:
        x, weight = (part.contiguous(memory_format=torch.channels_last) for part in (x, weight))
        return functional.conv2d(x, weight, bias, stride, padding, dilation, groups)
    dense = _is(stride, 1) and _is(dilation, 1) and groups == 1
    if weight.shape[1] != 1 or not dense or isinstance(padding, str) or x.dim() != 4:
        return None
    result: Tensor = _OneChannelConv.apply(x, weight, bias, padding)  # type: ignore[no-untyped-call]
    return result


def _max_pool2d(
    x: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | None:
    plain = _is(padding, 0) and _is(dilation, 1) and not ceil_mode and not return_indices
    halves = _is(kernel_size, 2) and (not stride or _is(stride, 2))
    even = x.dim() == 4 and x.shape[2] % 2 == x.shape[3] % 2 == 0
    if not (plain and halves and even and x.is_contiguous()):
        return None
    result: Tensor = _PairwiseMaxPool.apply(x)  # type: ignore[no-untyped-call]
    return result


def _view(x: Tensor, *shape: Any, **dtype: Any) -> Tensor | None:
    return None if dtype or isinstance(shape[0], torch.dtype) else x.reshape(*shape)


def _is(setting: int | Sequence[int], value: int) -> bool:
    return setting in (value, (value, value), [value, value], (value,), [value])


_CHANNELS_LAST_FROM = 8

_REPLACEMENTS: dict[Callable[..., Any], Callable[..., Tensor | None]] = {
    torch.conv2d: _conv2d,
    torch.ops.aten.conv2d.default: _conv2d,
    functional.max_pool2d: _max_pool2d,
    torch.max_pool2d: _max_pool2d,
    torch.ops.aten.max_pool2d.default: _max_pool2d,
    torch.Tensor.view: _view,
    torch.ops.aten.view.default: _view,
}


class _OneChannelConv(torch.autograd.Function):
    """∂/∂x[i, j] = Σ over taps (a, b) of (Wᵀ g)[a, b, i - a, j - b]."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        padding: int | Sequence[int],
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.dtype = x.shape, x.dtype
        ctx.padding = (padding, padding) if isinstance(padding, int) else tuple(padding) * 2
        return functional.conv2d(x, weight, bias, padding=padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (weight,), (gradient,) = ctx.saved_tensors, gradients
        batch, channels, height, width = gradient.shape
        rows, columns = weight.shape[2:]
        kernel = weight.to(gradient.dtype).reshape(channels, rows * columns)
        taps = torch.matmul(kernel.t(), gradient.reshape(batch, channels, height * width))
        taps = taps.view(batch, rows, columns, height, width)
        above, left = ctx.padding[:2]
        total = torch.zeros(
            (batch, height + rows - 1, width + columns - 1),
            dtype=ctx.dtype,
            device=gradient.device,
        )
        for row in range(rows):
            for column in range(columns):
                total[:, row : row + height, column : column + width].add_(
                    taps[:, row, column]
                )  # `+=` would copy as well
        inner = total[:, above : above + ctx.shape[2], left : left + ctx.shape[3]]
        return inner.unsqueeze(1), None, None, None


class _PairwiseMaxPool(torch.autograd.Function):
    """The larger of each row's neighbours, then of the two rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        left, right = x[..., 0::2], x[..., 1::2]
        larger = torch.maximum(left, right)
        upper, lower = larger[..., 0::2, :], larger[..., 1::2, :]
        ctx.save_for_backward(right > left, lower > upper)
        return torch.maximum(upper, lower)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        took_right, took_lower = ctx.saved_tensors
        return _split(_split(gradients[0], took_lower, -2), took_right, -1)


def _split(gradient: Tensor, second: Tensor, dim: int) -> Tensor:
    """Each entry goes to the first or, where `second`, to the second of two neighbours."""
    seconds = gradient * second
    return torch.stack([gradient - seconds, seconds], dim).flatten(dim - 1, dim)

"""Faster gradients with respect to images, where the framework's kernels are slow.

Ordinary training never needs the gradient of a first layer's input, so that backends do not tune
it. Inside `fast_input_gradients` some operators are replaced by equals on the CPU, chosen by shape
alone so that a run always computes the same numbers:

- a convolution of at most 3 channels with the ReLU and the 2 by 2 max-pooling that follow it
  (`ConvReluPool`). It is pending until it is known what follows;
- other convolutions of one channel (`OneChannelConv`);
- convolutions of 8 channels or more, which run with their channels last in memory; `view`, which
  would refuse such tensors, copies where it must.

Gradients of parameters do not pass the first two.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from advprune.attacks.pending import Deferred, Pending, pending
from advprune.attacks.pooling import fits, pooled


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
        if replacement and args and _is_on_cpu(args[0]):
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
    if x.dim() != 4:
        return None
    if weight.shape[1] >= _CHANNELS_LAST_FROM:
        x, weight = (part.contiguous(memory_format=torch.channels_last) for part in (x, weight))
        return functional.conv2d(x, weight, bias, stride, padding, dilation, groups)
    dense = _is(stride, 1) and _is(dilation, 1) and groups == 1
    if not dense or isinstance(padding, str) or weight.shape[1] > _FUSED_UP_TO:
        return None
    if torch.is_autocast_enabled("cpu"):
        return None
    return pending(Deferred(x, weight, bias, _pair(padding)))


def _relu(x: Tensor, inplace: bool = False) -> Tensor | None:
    if inplace or not isinstance(x, Pending):
        return None
    return pending(x.deferred.relu())


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
    if not (isinstance(x, Pending) and plain and halves and fits(x.deferred)):
        return None
    return pooled(x.deferred)


def _view(x: Tensor, *shape: Any, **dtype: Any) -> Tensor | None:
    return None if dtype or isinstance(shape[0], torch.dtype) else x.reshape(*shape)


def _pair(setting: int | Sequence[int]) -> tuple[int, int]:
    numbers = (setting,) if isinstance(setting, int) else tuple(setting)
    return numbers[0], numbers[-1]


def _is_on_cpu(x: Tensor) -> bool:
    return isinstance(x, Pending) or x.device.type == "cpu"


def _is(setting: int | Sequence[int], value: int) -> bool:
    return setting in (value, (value, value), [value, value], (value,), [value])


_CHANNELS_LAST_FROM = 8
_FUSED_UP_TO = 3

_REPLACEMENTS: dict[Callable[..., Any], Callable[..., Tensor | None]] = {
    torch.conv2d: _conv2d,
    torch.ops.aten.conv2d.default: _conv2d,
    functional.relu: _relu,
    torch.relu: _relu,
    torch.Tensor.relu: _relu,
    torch.ops.aten.relu.default: _relu,
    functional.max_pool2d: _max_pool2d,
    torch.max_pool2d: _max_pool2d,
    torch.ops.aten.max_pool2d.default: _max_pool2d,
    torch.Tensor.view: _view,
    torch.ops.aten.view.default: _view,
}

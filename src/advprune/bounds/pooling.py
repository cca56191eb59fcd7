"""Max-pooling as affine maps and ReLUs: max(a, b) = b + relu(a - b), pair by pair.

Of the n elements of a window, the first half meets the second, until one is left.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.nn import functional

from advprune.bounds.operators import Affine, Interval, Relu, Step, Term
from advprune.bounds.steps import Binding, input_shape, monotone, refused, rule


@rule("aten.max_pool2d_with_indices.default")
def _max_pool(binding: Binding, node: Node) -> None:
    source = binding.name(node, node.args[0])
    kernel, stride, padding, dilation, ceil_mode = _settings(node)
    if ceil_mode or dilation != (1, 1):
        raise refused(node, "max-pooling with dilation or ceil_mode has no rule yet")

    shape = input_shape(node)
    apart = kernel == stride and padding == (0, 0)
    windows = _tiles(kernel, shape) if apart else _windows(kernel, stride, padding, shape)
    current = binding.add(node, Affine((windows,)), source, part=".windows")
    elements = kernel[0] * kernel[1]
    while elements > 1:
        current = _halved(binding, node, current, elements)
        elements -= elements // 2
    pool = partial(functional.max_pool2d, kernel_size=kernel, stride=stride, padding=padding)
    squeeze = Term(lambda x: x[:, :, 0], lambda x: x[:, :, 0], lambda a: a.unsqueeze(3))
    name = binding.add(node, Affine((squeeze,)), current)
    shortcut = (source, lambda x: Interval(pool(x.lower), pool(x.upper)))
    binding.replace_last(Step(name, (current,), Affine((squeeze,)), shortcut))


def _windows(
    kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], shape: torch.Size
) -> Term:
    """(n, channels, elements of a window, height, width); the border repeats its pixels."""

    def apply(x: Tensor) -> Tensor:
        padded = functional.pad(x, (padding[1],) * 2 + (padding[0],) * 2, mode="replicate")
        unfolded = padded.unfold(2, kernel[0], stride[0]).unfold(3, kernel[1], stride[1])
        return unfolded.flatten(4).movedim(4, 2)

    return monotone(apply, shape)


def _tiles(kernel: tuple[int, int], shape: torch.Size) -> Term:
    """The same for windows that do not overlap, several times as fast."""
    channels, high, wide = shape
    (tall, broad), size = kernel, (high // kernel[0], wide // kernel[1])

    def apply(x: Tensor) -> Tensor:
        whole = x[:, :, : size[0] * tall, : size[1] * broad]
        tiles = whole.reshape(len(x), channels, size[0], tall, size[1], broad)
        return tiles.permute(0, 1, 3, 5, 2, 4).reshape(len(x), channels, tall * broad, *size)

    def transpose(a: Tensor) -> Tensor:
        tiles = a.reshape(*a.shape[:2], channels, tall, broad, *size)
        whole = tiles.permute(0, 1, 2, 5, 3, 6, 4).reshape(
            *a.shape[:2], channels, size[0] * tall, size[1] * broad
        )
        return functional.pad(whole, (0, wide - size[1] * broad, 0, high - size[0] * tall))

    return Term(apply, apply, transpose)


def _halved(binding: Binding, node: Node, current: str, elements: int) -> str:
    """Adds max(a, b) of both halves of dimension 2; what is left over of an odd number stays."""
    half, rest = elements // 2, elements % 2
    part = f".{elements}"

    def difference(x: Tensor) -> Tensor:
        return x[:, :, :half] - x[:, :, half : 2 * half]

    def total(x: Tensor) -> Tensor:
        return x[:, :, :half] + x[:, :, half : 2 * half]

    def spread(a: Tensor) -> Tensor:
        return functional.pad(torch.cat([a, -a], dim=3), (0, 0, 0, 0, 0, rest))

    gap = binding.add(node, Affine((Term(difference, total, spread),)), current, part=f"{part}.gap")
    rise = binding.add(node, Relu(), gap, part=f"{part}.rise")
    name = binding.add(node, Affine((_later(half), _widened(rest))), current, rise, part=part)
    shortcut: tuple[str, Callable[[Interval], Interval]] = (
        current,
        lambda x: Interval(_larger(x.lower, half), _larger(x.upper, half)),
    )
    last = binding.steps[-1]
    binding.replace_last(Step(name, last.inputs, last.operator, shortcut))
    return name


def _later(half: int) -> Term:
    """The second half and what is left over."""

    def apply(x: Tensor) -> Tensor:
        return x[:, :, half:]

    return Term(apply, apply, lambda a: functional.pad(a, (0, 0, 0, 0, half, 0)))


def _widened(rest: int) -> Term:
    """Zeros for what is left over."""

    def apply(x: Tensor) -> Tensor:
        return functional.pad(x, (0, 0, 0, 0, 0, rest))

    return Term(apply, apply, lambda a: a[:, :, :, : a.shape[3] - rest])


def _larger(x: Tensor, half: int) -> Tensor:
    first, second = x[:, :, :half], x[:, :, half : 2 * half]
    return torch.cat([torch.maximum(first, second), x[:, :, 2 * half :]], dim=2)


def _settings(node: Node) -> tuple[Any, Any, Any, Any, bool]:
    given = list(node.args[1:])
    defaults: list[Any] = [None, [], (0, 0), (1, 1), False]
    kernel, stride, padding, dilation, ceil_mode = given + defaults[len(given) :]
    return _pair(kernel), _pair(stride or kernel), _pair(padding), _pair(dilation), bool(ceil_mode)


def _pair(value: Any) -> tuple[int, int]:
    numbers = list(value) if isinstance(value, list | tuple) else [value]
    first, second = numbers * 2 if len(numbers) == 1 else numbers
    return int(first), int(second)

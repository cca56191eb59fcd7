"""FLOPs and memory as the reference code of ANP-VS counts them.

The published tables (Madaan, Shin and Hwang, ICML 2020, Table 1) were made with these formulas;
they stand here for comparison with those tables alone. `advprune.evaluation.cost` is the counter
to use for anything else.

FLOPs: each output of a convolution or dense layer costs `2 · inputs - 1`, one more for the bias and
one for the activation; each output of a 2 by 2 pooling costs 4; batch norm and gates cost nothing.
Memory: a convolution's unfolded input, `k² · in · height · width`, plus its weights `k² · in · out`
(and two numbers a channel for batch norm, where there is one); a dense layer's weights and biases.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LENET_WIDTHS = (20, 50, 800, 500)
VGG_WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512)
_VGG_BLOCKS = (2, 2, 3, 3, 3)
_VGG_SIDE = 32


@dataclass(frozen=True)
class ReferenceCost:
    """Figures by the reference code's formulas.

    Attributes:
        flops: Floating-point operations of one example.
        memory: Numbers held, each layer once.
        memory_as_published: The same as the reference code computes it. For VGG it adds both
            dense layers once for each of the 13 convolutions, a slip of indentation that the
            published table very probably contains; for LeNet it equals `memory`.
    """

    flops: int
    memory: int
    memory_as_published: int


def lenet(widths: Sequence[int] = LENET_WIDTHS) -> ReferenceCost:
    """Cost of LeNet-5-Caffe on 28 by 28 images with one channel.

    Args:
        widths: Kept channels of the two convolutions, kept inputs of the first dense layer (of
            the 800 flattened positions), kept units of the first dense layer.

    Returns:
        4,615,940 FLOPs and 477,410 numbers for the whole network.

    Raises:
        ValueError: When there are not four widths, or one lies outside what the network has.
    """
    first, second, positions, hidden = _checked(widths, LENET_WIDTHS)
    return ReferenceCost(
        flops=_conv_flops(5, 1, first, 24)
        + _pool_flops(first, 12)
        + _conv_flops(5, first, second, 8)
        + _pool_flops(second, 4)
        + _dense_flops(positions, hidden)
        + _dense_flops(hidden, 10)
        - 10,  # the logits have no activation
        memory=(memory := _lenet_memory(first, second, positions, hidden)),
        memory_as_published=memory,
    )


def vgg(widths: Sequence[int] = VGG_WIDTHS, classes: int = 10) -> ReferenceCost:
    """Cost of VGG-16 on 32 by 32 images with three channels.

    Args:
        widths: Kept channels of the 13 convolutions, kept inputs and kept units of the first
            dense layer.
        classes: Number of classes.

    Returns:
        627,329,546 FLOPs for the whole network with ten classes; memory 16,655,818, and
        19,881,538 as published.

    Raises:
        ValueError: When there are not fifteen widths, or one lies outside what the network has.
    """
    *_, features, hidden = _checked(widths, VGG_WIDTHS)
    convolutions = list(_vgg_convolutions(widths))
    conv_memory = sum(_conv_memory(3, i, o, side) + 2 * o for i, o, side in convolutions)
    dense_memory = _dense_memory(features, hidden) + _dense_memory(hidden, classes) + 2 * features
    return ReferenceCost(
        flops=sum(_conv_flops(3, i, o, side) for i, o, side in convolutions)
        + _vgg_pool_flops(widths)
        + _dense_flops(features, hidden)
        + _dense_flops(hidden, classes),
        memory=conv_memory + dense_memory,
        memory_as_published=conv_memory + len(convolutions) * dense_memory,
    )


def _checked(widths: Sequence[int], full: Sequence[int]) -> Sequence[int]:
    if len(widths) != len(full):
        raise ValueError(f"{len(widths)} widths given; this network has {len(full)}: {full}")
    if not all(0 < width <= limit for width, limit in zip(widths, full, strict=True)):
        raise ValueError(f"widths {tuple(widths)}: each must be 1 to its limit in {full}")
    return widths


def _vgg_convolutions(widths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Inputs, outputs and side of each of VGG's convolutions."""
    sides = [_VGG_SIDE >> block for block, size in enumerate(_VGG_BLOCKS) for _ in range(size)]
    yield from zip((3, *widths[:12]), widths[:13], sides, strict=True)


def _vgg_pool_flops(widths: Sequence[int]) -> int:
    last = [sum(_VGG_BLOCKS[: block + 1]) - 1 for block in range(len(_VGG_BLOCKS))]
    return sum(
        _pool_flops(widths[index], _VGG_SIDE >> (block + 1)) for block, index in enumerate(last)
    )


def _conv_flops(kernel: int, inputs: int, outputs: int, side: int) -> int:
    return outputs * side**2 * (2 * kernel**2 * inputs + 1)


def _dense_flops(inputs: int, outputs: int) -> int:
    return outputs * (2 * inputs + 1)


def _pool_flops(channels: int, side: int) -> int:
    return 4 * channels * side**2


def _conv_memory(kernel: int, inputs: int, outputs: int, side: int) -> int:
    return kernel**2 * inputs * side**2 + kernel**2 * inputs * outputs


def _dense_memory(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _lenet_memory(first: int, second: int, positions: int, hidden: int) -> int:
    return (
        _conv_memory(5, 1, first, 24)
        + _conv_memory(5, first, second, 8)
        + _dense_memory(positions, hidden)
        + _dense_memory(hidden, 10)
    )

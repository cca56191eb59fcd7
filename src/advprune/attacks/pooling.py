"""Convolution, ReLU and 2 by 2 max-pooling in one, with a fast gradient of the images.

Pooling keeps the largest of four neighbours. Here the four are no neighbours but blocks: four
convolutions over the same patches, all given by one matrix product for each row that is pooled.
What was a walk over windows becomes maxima of whole blocks, the ReLU acts on a quarter of the
values, and the gradient is one more product and a sum of shifted planes. It pays where the
convolution reads few channels: its patches are a pixel larger each way, 1.4 times the products for
a 5 by 5 kernel.

Inside, the batch is innermost in memory, so that all that is copied, compared and added lies in
long rows, whatever the patches' size. Rows of pixels are outermost: the patches of a row that is
pooled overlap those of the next as they lie in memory, and only columns need to be copied.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from advprune.attacks.pending import Deferred


def fits(conv: Deferred) -> bool:
    """Whether a convolution can be computed with 2 by 2 pooling: odd kernel, even output."""
    odd = all(size % 2 for size in conv.weight.shape[2:])
    return odd and not any(size % 2 for size in conv.shape[2:])


def pooled(conv: Deferred) -> Tensor:
    """Returns `max_pool2d(conv, 2)`."""
    rows, columns = conv.padding
    x = functional.pad(conv.x, (columns, columns, rows, rows)) if rows or columns else conv.x
    if not torch.is_grad_enabled():
        return _forward_only(x, conv.weight, conv.bias, conv.rectified)
    result: Tensor = ConvReluPool.apply(x, conv.weight, conv.bias, conv.rectified)  # type: ignore[no-untyped-call]
    return result


class ConvReluPool(torch.autograd.Function):
    """`max_pool2d(relu(conv2d(x, weight, bias)), 2)`, stride 1, odd kernel, even output.

    Ties go to the first pixel in reading order, as in PyTorch. The weights get no gradient.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, rectify: bool) -> Tensor:
        """Returns (batch, outputs, height / 2, width / 2), the batch innermost in memory."""
        kernels = _moved(weight)
        pooled = _room(x, weight)
        routes = _largest(_quarters(x, kernels, weight), pooled)
        ctx.rectify, ctx.kernel = rectify, weight.shape[2:]
        ctx.shape, ctx.batch_first = x.shape, x.is_contiguous()
        ctx.save_for_backward(_finished(pooled, bias, rectify), kernels, *routes)
        return pooled.permute(3, 0, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Returns the gradient of x, in memory like x."""
        pooled, kernels, *routes = ctx.saved_tensors
        gradient = _batch_last(gradients[0])
        if ctx.rectify:
            gradient = torch.ops.aten.threshold_backward(gradient, pooled, 0.0)
        gradient = gradient.transpose(0, 1)
        quarters = gradient.new_empty(len(gradient), 4, *gradient.shape[1:])
        _route(gradient, routes, quarters)
        planes = _gathered(kernels, quarters, ctx.kernel, ctx.shape)
        found = _batch_first(planes) if ctx.batch_first else planes.permute(3, 0, 1, 2)
        return found, None, None, None


def _forward_only(x: Tensor, weight: Tensor, bias: Tensor | None, rectify: bool) -> Tensor:
    """The same where no gradient is asked for, so that nobody needs to know which was largest."""
    pooled = _room(x, weight)
    torch.amax(_quarters(x, _moved(weight), weight), 1, out=pooled.transpose(0, 1))
    return _finished(pooled, bias, rectify).permute(3, 0, 1, 2)


def _room(x: Tensor, weight: Tensor) -> Tensor:
    """For what is pooled, (outputs, height / 2, width / 2, batch)."""
    sizes = zip(x.shape[2:], weight.shape[2:], strict=True)
    halves = ((size - kernel + 1) // 2 for size, kernel in sizes)
    return x.new_empty(len(weight), *halves, len(x))


def _quarters(x: Tensor, kernels: Tensor, weight: Tensor) -> Tensor:
    """What is pooled, (height / 2, 4, outputs, width / 2, batch)."""
    rows, columns = weight.shape[2:]
    patches = _batch_last(x).unfold(2, columns + 1, 2).permute(1, 0, 4, 2, 3).contiguous()
    height, inputs, taps, width, batch = patches.shape
    line, length = inputs * taps, width * batch  # of one row of pixels
    slabs = patches.as_strided(
        ((height - rows + 1) // 2, (rows + 1) * line, length), (2 * line * length, length, 1)
    )
    quarters = torch.bmm(kernels.expand(len(slabs), *kernels.shape), slabs)
    return quarters.view(len(slabs), 4, len(weight), width, batch)


def _finished(pooled: Tensor, bias: Tensor | None, rectify: bool) -> Tensor:
    """Adds the bias and cuts off below 0, in place: after pooling there is a quarter to do."""
    if bias is not None:
        pooled += bias[:, None, None, None]
    return pooled.clamp_(min=0) if rectify else pooled


def _largest(quarters: Tensor, pooled: Tensor) -> list[Tensor]:
    """Writes the largest of four; 1 where it is the right one above, the right one below, below.

    The ones are floats: to multiply with bools is slow.
    """
    first, second, third, fourth = quarters.unbind(1)
    upper, upper_right = torch.maximum(first, second), _above(second, first)
    lower, lower_right = torch.maximum(third, fourth), _above(fourth, third)
    torch.maximum(upper, lower, out=pooled.transpose(0, 1))
    return [upper_right, lower_right, _above(lower, upper)]


def _above(one: Tensor, other: Tensor) -> Tensor:
    return torch.gt(one, other, out=one.new_empty(one.shape))


def _route(gradient: Tensor, routes: Sequence[Tensor], quarters: Tensor) -> None:
    """Writes each entry of the gradient to the one of four that it came from, 0 to the others."""
    upper_right, lower_right, below = routes
    upper, lower = torch.empty_like(below), torch.empty_like(below)
    first, second, third, fourth = quarters.unbind(1)
    for whole, later, parts in (
        (gradient, below, (upper, lower)),
        (upper, upper_right, (first, second)),
        (lower, lower_right, (third, fourth)),
    ):
        torch.mul(whole, later, out=parts[1])
        torch.sub(whole, parts[1], out=parts[0])


def _moved(weight: Tensor) -> Tensor:
    """The kernels at each of four places: (4 outputs, (rows + 1) · inputs · (columns + 1))."""
    outputs, inputs, rows, columns = weight.shape
    moved = weight.new_zeros(2, 2, outputs, rows + 1, inputs, columns + 1)
    lower, right, *own = moved.stride()
    places = (lower + own[1], right + own[3], *own)  # a step down or right moves the kernel as well
    moved.as_strided((2, 2, outputs, rows, inputs, columns), places).copy_(weight.transpose(1, 2))
    return moved.flatten(3).flatten(0, 2)


def _gathered(
    kernels: Tensor, quarters: Tensor, kernel: Sequence[int], shape: torch.Size
) -> Tensor:
    """Sums over all patches that overlap, (inputs, height, width, batch)."""
    height, four, outputs, width, batch = quarters.shape
    pairs = [(size + 1) // 2 for size in kernel]
    quarters = quarters.view(height, four * outputs, width * batch)
    lines = quarters.new_zeros(shape[2] // 2, kernels.shape[1] // pairs[0], width * batch)
    for row, own in enumerate(kernels.t().chunk(pairs[0])):
        lines[row : row + height].baddbmm_(own.expand(height, *own.shape), quarters)
    lines = lines.view(shape[2], shape[1], pairs[1], 2, width, batch)
    planes = quarters.new_zeros(shape[1], shape[2], 2, shape[3] // 2, batch)
    for column in range(pairs[1]):
        planes[:, :, :, column : column + width] += lines[:, :, column].transpose(0, 1)
    return planes.transpose(2, 3).flatten(2, 3)


def _batch_last(x: Tensor) -> Tensor:
    """(channels, height, width, batch); copies at once what lies otherwise, as a matrix."""
    if not x.is_contiguous():
        return x.permute(1, 2, 3, 0)
    return x.flatten(1).t().contiguous().view(*x.shape[1:], len(x))


def _batch_first(x: Tensor) -> Tensor:
    return x.flatten(0, 2).t().contiguous().view(-1, *x.shape[:3])

"""Convolution, ReLU and 2 by 2 max-pooling in one, with a fast gradient of the images.

Pooling keeps the largest of four neighbours. Here the four are no neighbours but blocks: four
convolutions over the same patches, all given by one matrix product. What was a walk over windows
becomes maxima of whole blocks, the ReLU acts on a quarter of the values, and the gradient is one
more product and a sum of shifted planes. It pays where the convolution reads few channels: its
patches are a pixel larger each way, 1.4 times the products for a 5 by 5 kernel.

Inside, the batch is innermost in memory, so that all that is copied, compared and added lies in
rows of that length, whatever the patches' size.
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
        quarters = _quarters(x, kernels, weight)
        largest, routes = _largest(*quarters)
        pooled = _finished(largest, bias, rectify)
        ctx.rectify, ctx.taps = rectify, [(size + 1) // 2 for size in weight.shape[2:]]
        ctx.save_for_backward(pooled, kernels, *routes)
        ctx.shape, ctx.batch_first = x.shape, x.is_contiguous()
        return pooled.permute(3, 0, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Returns the gradient of x, in memory like x."""
        pooled, kernels, *routes = ctx.saved_tensors
        gradient = gradients[0].permute(1, 2, 3, 0).contiguous()
        if ctx.rectify:
            gradient = torch.ops.aten.threshold_backward(gradient, pooled, 0.0)
        quarters = gradient.new_empty(4, *gradient.shape)
        _route(gradient, routes, quarters)
        taps = kernels.t() @ quarters.flatten(0, 1).flatten(1)
        rows, columns = ctx.taps
        taps = taps.view(ctx.shape[1], rows, 2, columns, 2, *gradient.shape[1:])
        found = _gathered(taps, ctx.shape)
        return found.contiguous() if ctx.batch_first else found, None, None, None


def _forward_only(x: Tensor, weight: Tensor, bias: Tensor | None, rectify: bool) -> Tensor:
    """The same where no gradient is asked for, so that nobody needs to know which was largest."""
    quarters = _quarters(x, _moved(weight), weight)
    return _finished(quarters.amax(0), bias, rectify).permute(3, 0, 1, 2)


def _quarters(x: Tensor, kernels: Tensor, weight: Tensor) -> Tensor:
    """What is pooled, (4, outputs, height / 2, width / 2, batch)."""
    patches = _patches(x, weight)
    return (kernels @ patches.flatten(0, 2).flatten(1)).view(4, len(weight), *patches.shape[3:])


def _finished(pooled: Tensor, bias: Tensor | None, rectify: bool) -> Tensor:
    """Adds the bias and cuts off below 0, in place: after pooling there is a quarter to do."""
    if bias is not None:
        pooled += bias[:, None, None, None]
    return pooled.clamp_(min=0) if rectify else pooled


def _largest(*quarters: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The largest of four, and 1 where it is the right one above, the right one below, below.

    The ones are floats: to multiply with bools is slow.
    """
    upper, upper_right = _larger(quarters[0], quarters[1])
    lower, lower_right = _larger(quarters[2], quarters[3])
    pooled, below = _larger(upper, lower)
    return pooled, [upper_right, lower_right, below]


def _larger(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    return torch.maximum(first, second), torch.gt(second, first, out=torch.empty_like(first))


def _route(gradient: Tensor, routes: Sequence[Tensor], quarters: Tensor) -> None:
    """Writes each entry of the gradient to the one of four that it came from, 0 to the others."""
    upper_right, lower_right, below = routes
    upper, lower = torch.empty_like(below), torch.empty_like(below)
    for whole, second, parts in (
        (gradient, below, (upper, lower)),
        (upper, upper_right, (quarters[0], quarters[1])),
        (lower, lower_right, (quarters[2], quarters[3])),
    ):
        torch.mul(whole, second, out=parts[1])
        torch.sub(whole, parts[1], out=parts[0])


def _moved(weight: Tensor) -> Tensor:
    """The kernels at each of four places: (4 outputs, inputs · (rows + 1) · (columns + 1))."""
    places = [(row, column) for row in (0, 1) for column in (0, 1)]
    moved = [functional.pad(weight, (c, 1 - c, r, 1 - r)) for r, c in places]
    return torch.cat(moved).flatten(1)


def _patches(x: Tensor, weight: Tensor) -> Tensor:
    """Patches around every other pixel, (inputs, rows, columns, height / 2, width / 2, batch)."""
    rows, columns = (size + 1 for size in weight.shape[2:])
    x = x.permute(1, 2, 3, 0).contiguous()
    windows = x.unfold(1, rows, 2).unfold(2, columns, 2)
    return windows.permute(0, 4, 5, 1, 2, 3).contiguous()


def _gathered(taps: Tensor, shape: torch.Size) -> Tensor:
    """Sums (inputs, rows, 2, columns, 2, height, width, batch) over patches that overlap."""
    inputs, rows, _, columns, _, height, width, batch = taps.shape
    planes = taps.new_zeros(inputs, 2, 2, height + rows - 1, width + columns - 1, batch)
    for row in range(rows):
        for column in range(columns):
            planes[..., row : row + height, column : column + width, :] += taps[:, row, :, column]
    _, channels, *size = shape
    return planes.permute(0, 3, 1, 4, 2, 5).reshape(channels, *size, batch).permute(3, 0, 1, 2)

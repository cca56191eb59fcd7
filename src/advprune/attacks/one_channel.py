"""The convolution of one channel, with a fast gradient of the images."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class OneChannelConv(torch.autograd.Function):
    """`conv2d(x, weight, bias, padding=padding)` where x has one channel.

    `∂/∂x[i, j] = Σ over taps (a, b) of (Wᵀ g)[a, b, i - a, j - b]`: a matrix product and a sum of
    shifted planes. The weights get no gradient.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        padding: tuple[int, int],
    ) -> Tensor:
        """Returns (batch, outputs, height, width)."""
        ctx.save_for_backward(weight)
        ctx.shape, ctx.dtype, ctx.padding = x.shape, x.dtype, padding
        return functional.conv2d(x, weight, bias, padding=padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Returns the gradient of x."""
        (weight,), (gradient,) = ctx.saved_tensors, gradients
        batch, channels, height, width = gradient.shape
        rows, columns = weight.shape[2:]
        kernel = weight.to(gradient.dtype).reshape(channels, rows * columns)
        taps = torch.matmul(kernel.t(), gradient.reshape(batch, channels, height * width))
        taps = taps.view(batch, rows, columns, height, width)
        above, left = ctx.padding
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

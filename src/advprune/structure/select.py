"""A linear layer that reads some of its inputs only."""

import torch
from torch import Tensor, nn


class SelectedLinear(nn.Linear):
    """A linear layer over chosen inputs: `y = x[:, index] Wᵀ + b`.

    It stands where a layer's own inputs were pruned one by one, so that what arrives is more than
    what is read.

    Attributes:
        index: (in_features,) int64, positions of the inputs that are read.
    """

    index: Tensor

    def __init__(self, linear: nn.Linear, index: Tensor) -> None:
        bias = linear.bias is not None
        super().__init__(
            len(index),
            linear.out_features,
            bias=bias,
            device=linear.weight.device,
            dtype=linear.weight.dtype,
        )
        self.register_buffer("index", index.to(linear.weight.device))
        with torch.no_grad():
            self.weight.copy_(linear.weight.index_select(1, self.index))
            if bias:
                self.bias.copy_(linear.bias)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in nn.Linear
        """Returns (batch, out_features) from (batch, arriving inputs)."""
        return super().forward(input.index_select(-1, self.index))

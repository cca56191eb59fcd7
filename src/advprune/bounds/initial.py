"""First weights for training on intervals."""

import math

import torch
from torch import nn


def narrow_weights(model: nn.Module, generator: torch.Generator) -> None:
    """Draws the weights of convolutions and linear layers so that intervals keep their width.

    N(0, 2π / n²) with n inputs a unit, biases 0: the expected sum of a unit's |w| is then 2, which
    a ReLU halves. Source: Shi et al. 2021, "Fast certified robust training with short warmup"
    (arXiv 2103.17268), equation 5.

    Args:
        model: plain or gated; changed in place.
        generator: source of the draws, on the CPU.
    """
    for module in model.modules():
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):  # noqa: SLF001 - any rank
            std = math.sqrt(2 * math.pi) / module.weight[0].numel()
            drawn = torch.randn(module.weight.shape, generator=generator) * std
            with torch.no_grad():
                module.weight.copy_(drawn)
                if module.bias is not None:
                    module.bias.zero_()

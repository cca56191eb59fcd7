"""Batch-norm statistics of the network as it is evaluated."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def recalibrate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Re-estimates every batch norm's running statistics as plain means over the given images.

    All else is in eval mode, so a gated model runs with its expected gates: sampled gates give
    other statistics than the network that ships. Modes are put back; a model without batch norm
    is left alone.

    Args:
        model: a gated or plain model.
        batches: images, each (batch, channels, height, width), training images by rights.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms:
        return
    modes = {module: module.training for module in model.modules()}
    momenta = [norm.momentum for norm in norms]
    try:
        model.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's word for a cumulative mean
            norm.train()
        with torch.no_grad():
            for images in batches:
                model(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in modes.items():
            module.training = training

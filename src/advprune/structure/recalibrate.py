"""Batch-norm statistics of the network as it is evaluated."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from advprune.models.modes import evaluating


def recalibrate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Re-estimates every batch norm's running statistics as means over the given images.

    All else is in eval mode, so a gated model runs with its expected gates: sampled gates give
    other statistics than the network that ships. Mean and unbiased variance of each batch count
    by its number of images. Modes are put back; a model without batch norm is left alone.

    Args:
        model: a gated or plain model.
        batches: images, each (batch, channels, height, width), training images by rights.

    Raises:
        ValueError: there are no images.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    seen = 0
    try:
        with evaluating(model), torch.no_grad():
            for norm in norms:
                norm.train()
            for images in batches:
                seen += len(images)
                for norm in norms:
                    norm.momentum = len(images) / seen  # 1 at first: what was there is forgotten
                model(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    if not seen:
        raise ValueError("no images were given to re-estimate batch-norm statistics from")

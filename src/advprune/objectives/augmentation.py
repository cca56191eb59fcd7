"""Noise on the logits in training, on top of any objective, as noise on pixels augments images."""

import torch
from torch import Tensor, nn

from advprune.objectives.losses import Adversary, Batch, Coefficients, Losses, Objective


def with_noisy_logits(objective: Objective, scale: float) -> Objective:
    """Returns the objective on logits z + σ n, n ~ N(0, 1) anew for each image and class.

    The attack, validation and what ships see no noise: all of them run in eval mode. Drawn from
    torch's global random state, as gates are; an image and its counterpart get noise of their own.

    Source: Wang et al. 2018, "Defending DNN adversarial attacks with pruning and logits
    augmentation" (ICLR workshop). Its text was not at hand; that its augmentation is noise is a
    reading.

    Args:
        objective: what is computed with noise.
        scale: σ.
    """

    def noisy(module: nn.Module, _inputs: object, logits: Tensor) -> Tensor:
        return logits + scale * torch.randn_like(logits) if module.training else logits

    def with_noise(
        model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients
    ) -> Losses:
        handle = model.register_forward_hook(noisy)
        try:
            return objective(model, batch, adversary, coefficients)
        finally:
            handle.remove()

    return with_noise

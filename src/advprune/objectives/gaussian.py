"""Adv-BNN: adversarial training of a network whose weights are Gaussian.

Source: Liu et al. 2019 (arXiv 1810.01279), equation 8; the weights of the terms are those of the
reference code of Madaan et al. 2020, which has β = 0.01.
"""

from dataclasses import replace

from torch import nn

from advprune.models.gaussian import GaussianModel
from advprune.objectives.losses import Adversary, Batch, Coefficients, Losses
from advprune.objectives.robust import ADVERSARIAL


def adv_bnn(
    model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients
) -> Losses:
    """Returns `(c CE_clean + w CE_adv) / (c + w) + λ V + β KL / N` for means and spreads.

    Args:
        model: its weights are Gaussian; one draw serves clean and adversarial images.
        batch: clean images.
        adversary: makes their adversarial counterparts; on drawn weights, anew in each of its
            steps, its gradient is that of the expected loss.
        coefficients: c, w, λ, β and N are used.

    Raises:
        ValueError: the model's weights are not Gaussian.
    """
    if not isinstance(model, GaussianModel):
        raise ValueError(f"this objective trains Gaussian weights; {type(model).__name__} has none")
    losses = ADVERSARIAL.train(model, batch, adversary, coefficients)
    kl = coefficients.beta * model.kl() / coefficients.examples
    return replace(losses, weights=losses.weights + kl, parts={**losses.parts, "kl": kl.detach()})

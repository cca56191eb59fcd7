"""Objectives of networks whose weights are Gaussian.

Sources: Liu et al. 2019 (arXiv 1810.01279), equation 8, for Adv-BNN; the weights of its terms are
those of the reference code of Madaan et al. 2020, which has β = 0.01. Molchanov et al. 2017 (arXiv
1701.05369), equation 3, for sparse variational dropout.
"""

from dataclasses import replace

from torch import Tensor, nn

from advprune.models.gaussian import GaussianModel
from advprune.objectives.losses import Adversary, Batch, Coefficients, Losses, measured
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
    kl = _divergence(model, coefficients)
    losses = ADVERSARIAL.train(model, batch, adversary, coefficients)
    return replace(losses, weights=losses.weights + kl, parts={**losses.parts, "kl": kl.detach()})


def variational_dropout(
    model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients
) -> Losses:
    """Returns `CE + β KL / N` on clean images for means and spreads.

    Args:
        model: its weights are Gaussian.
        batch: clean images.
        adversary: not called.
        coefficients: β and N are used.

    Raises:
        ValueError: the model's weights are not Gaussian.
    """
    del adversary
    kl = _divergence(model, coefficients)
    loss, parts = measured("clean", model(batch.x), batch.y)
    return Losses(loss + kl, None, {**parts, "kl": kl.detach()})


def _divergence(model: nn.Module, coefficients: Coefficients) -> Tensor:
    if not isinstance(model, GaussianModel):
        raise ValueError(f"this objective trains Gaussian weights; {type(model).__name__} has none")
    return coefficients.beta * model.kl() / coefficients.examples

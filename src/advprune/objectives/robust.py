"""Objectives on clean and adversarial images, with or without vulnerability suppression.

Sources: Madry et al. 2018 (arXiv 1706.06083) for adversarial training, Madaan, Shin & Hwang 2020
(arXiv 1908.04355) for the rest; weights of the terms as in the latter's code.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from advprune.gates import paired
from advprune.objectives.losses import (
    Adversary,
    Batch,
    Coefficients,
    Losses,
    divergence,
    measured,
    weighted,
)
from advprune.vulnerability import Features, mean_distortion, record


def adversarial(
    model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients
) -> Losses:
    """Returns `(CE_clean + w CE_adv) / (1 + w) + λ V` for the weights: AT, with λ > 0 AT-VS.

    Args:
        model: gated or plain; gates are not trained.
        batch: clean images.
        adversary: makes their adversarial counterparts.
        coefficients: w and λ are used.
    """
    clean, attacked, vulnerability, parts = _terms(model, batch, adversary, coefficients)
    loss = weighted(clean, attacked, coefficients.adversarial_weight)
    return Losses(loss + coefficients.vulnerability_weight * vulnerability, None, parts)


def anp(model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients) -> Losses:
    """Returns the two losses of ANP, with λ > 0 of ANP-VS.

    Weights: `(CE_clean + w CE_adv) / (1 + w) + λ V`; gates: `CE_adv + c CE_clean + β KL / N`, and
    `+ λ V` on request. The KL has no gradient in the weights.

    Args:
        model: a gated model.
        batch: clean images.
        adversary: makes their adversarial counterparts.
        coefficients: all are used; c is `gate_clean_weight`.

    Raises:
        ValueError: the model has no gates.
    """
    kl = divergence(model, coefficients)
    clean, attacked, vulnerability, parts = _terms(model, batch, adversary, coefficients)
    suppression = coefficients.vulnerability_weight * vulnerability
    weights = weighted(clean, attacked, coefficients.adversarial_weight) + suppression
    gates = attacked + coefficients.gate_clean_weight * clean + kl
    if coefficients.vulnerability_trains_gates:
        gates = gates + suppression
    return Losses(weights, gates, {**parts, "kl": kl.detach()})


def _terms(
    model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients
) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
    """Returns clean and adversarial cross-entropy, V (0 without λ) and the log's terms."""
    x_adv = adversary(batch.x, batch.y)
    wanted = coefficients.vulnerability_weight > 0
    recording: AbstractContextManager[Features] = (
        record(model, batch.x) if wanted else nullcontext({})
    )
    with recording as features:
        logits, logits_adv = paired(model, batch.x, x_adv)
    clean, clean_parts = measured("clean", logits, batch.y)
    attacked, adversarial_parts = measured("adversarial", logits_adv, batch.y)
    parts = {**clean_parts, **adversarial_parts}
    if not wanted:
        return clean, attacked, torch.zeros_like(clean), parts
    vulnerability = mean_distortion(model, features)
    return clean, attacked, vulnerability, {**parts, "vulnerability": vulnerability.detach()}

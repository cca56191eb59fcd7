"""Objectives on bounds: what no attack in the threat model can exceed, instead of what one finds.

Sources: Gowal et al. 2018 (arXiv 1810.12715) for interval bounds and κ, Zhang et al. 2020 (arXiv
1906.06316) for the share of linear bounds, Wong & Kolter 2018 (arXiv 1711.00851) for the polytope.
"""

from torch import Tensor, nn

from advprune.bounds import Region, Worst, is_certified, network, worst_cross_entropy
from advprune.gates import GatedModel
from advprune.objectives.losses import (
    Adversary,
    Batch,
    Certificate,
    Coefficients,
    Losses,
    divergence,
    measured,
)


def certified(
    model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients
) -> Losses:
    """Returns `κ CE(z) + (1 - κ) CE(z_worst)` for the weights; gates are not trained.

    CE(z_worst) bounds the cross-entropy of every image that the threat model allows. A gated model
    is bounded with the same gates as it answers the clean images; batch norm is bounded with its
    running statistics, as it ships.

    Args:
        model: gated or plain.
        batch: clean images.
        adversary: not called.
        coefficients: the certificate's are used.

    Raises:
        ValueError: no certificate is given.
        UnsupportedOperatorError: the model has an operator that cannot be bounded.
    """
    del adversary
    loss, _, parts = _terms(model, batch, coefficients)
    return Losses(loss, None, parts)


def certified_pruning(
    model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients
) -> Losses:
    """Returns the loss of `certified` for the weights, and for gates `CE(z_worst) + β KL / N`.

    The gates' loss has c CE(z) too, c being `gate_clean_weight`.

    Args:
        model: a gated model.
        batch: clean images.
        adversary: not called.
        coefficients: the certificate's, β, N, the units' weights and c are used.

    Raises:
        ValueError: the model has no gates, or no certificate is given.
        UnsupportedOperatorError: the model has an operator that cannot be bounded.
    """
    del adversary
    kl = divergence(model, coefficients)
    loss, (clean, worst), parts = _terms(model, batch, coefficients)
    gates = worst + coefficients.gate_clean_weight * clean + kl
    return Losses(loss, gates, {**parts, "kl": kl.detach()})


def _terms(
    model: nn.Module, batch: Batch, coefficients: Coefficients
) -> tuple[Tensor, tuple[Tensor, Tensor], dict[str, Tensor]]:
    """Returns the weighted loss, its clean and worst-case terms, and the log's."""
    certificate = coefficients.certificate
    if certificate is None:
        raise ValueError("this objective trains on bounds, but no certificate is given")
    logits, bounded = _answers(model, batch, certificate)
    clean, parts = measured("clean", logits, batch.y)
    worst, kappa = bounded.loss.mean(), certificate.clean_weight
    parts["certified_loss"] = worst.detach()
    parts["certified_accuracy"] = is_certified(bounded.margins.detach(), batch.y).float().mean()
    return kappa * clean + (1 - kappa) * worst, (clean, worst), parts


def _answers(model: nn.Module, batch: Batch, certificate: Certificate) -> tuple[Tensor, Worst]:
    """Logits of the clean images and bounds on the worst ones, through the same gates."""
    gates = None
    if not isinstance(model, GatedModel):
        logits: Tensor = model(batch.x)
    else:
        samples = certificate.on == "sampled" and model.training
        gates = model.sampled(len(batch.x)) if samples else model.expected().unsqueeze(0)
        with model.board.holding(gates):
            logits = model.model(batch.x)
    bounded = network(model, batch.x, gates)
    region = Region(batch.x, certificate.threat)
    how = (certificate.bound, certificate.linear_share)
    return logits, worst_cross_entropy(bounded, region, batch.y, logits.shape[1], *how)

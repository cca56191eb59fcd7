"""Objectives on clean images alone: standard training and Bayesian pruning."""

from torch import nn

from advprune.objectives.losses import Adversary, Batch, Coefficients, Losses, divergence, measured


def standard(
    model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients
) -> Losses:
    """Returns the mean cross-entropy on clean images; nothing is attacked.

    Args:
        model: gated or plain; gates are not trained.
        batch: clean images.
        adversary: not called.
        coefficients: not used.
    """
    del adversary, coefficients
    loss, parts = measured("clean", model(batch.x), batch.y)
    return Losses(loss, None, parts)


def bayesian_pruning(
    model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients
) -> Losses:
    """Returns `CE + β KL / N` for weights and gates alike (BP; Lee et al. 2018, arXiv 1805.10896).

    Args:
        model: a gated model.
        batch: clean images.
        adversary: not called.
        coefficients: β, N and the units' weights are used.

    Raises:
        ValueError: the model has no gates.
    """
    del adversary
    kl = divergence(model, coefficients)
    loss, parts = measured("clean", model(batch.x), batch.y)
    return Losses(loss + kl, loss + kl, {**parts, "kl": kl.detach()})

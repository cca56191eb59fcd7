"""Penalties on weights that make them sparse, on top of any objective."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from advprune.objectives.losses import Adversary, Batch, Coefficients, Losses, Objective

Penalty = Callable[[nn.Module], Tensor]


def l1(model: nn.Module) -> Tensor:
    """Returns `Σ |w|` over all weights of layers, 0-dim.

    Source: Collins & Kohli 2014, "Memory bounded deep convolutional networks" (arXiv 1412.1442),
    section 3.1.
    """
    return sum((weight.abs().sum() for weight in _weights(model)), start=_zero(model))


def group_lasso(model: nn.Module) -> Tensor:
    """Returns `Σ_out ‖W[out]‖ + Σ_in ‖W[:, in]‖` over all layers, 0-dim.

    Filters and channels are the groups, which go to 0 as a whole.

    Source: Wen et al. 2016, "Learning structured sparsity in deep neural networks" (arXiv
    1608.03665), equation 3.
    """
    total = _zero(model)
    for weight in _weights(model):
        filters = weight.flatten(1)
        channels = weight.transpose(0, 1).flatten(1)
        total = total + filters.norm(dim=1).sum() + channels.norm(dim=1).sum()
    return total


PENALTIES: dict[str, Penalty] = {"l1": l1, "group_lasso": group_lasso}


def penalised(objective: Objective, penalty: Penalty, weight: float) -> Objective:
    """Returns the objective with `weight · penalty` in the loss of the weights."""

    def with_penalty(
        model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients
    ) -> Losses:
        losses = objective(model, batch, adversary, coefficients)
        added = weight * penalty(model)
        before = losses.parts.get("penalty", torch.zeros_like(added))
        parts = {**losses.parts, "penalty": before + added.detach()}
        return replace(losses, weights=losses.weights + added, parts=parts)

    return with_penalty


def _weights(model: nn.Module) -> list[Tensor]:
    return [value for value in model.parameters() if value.requires_grad and value.dim() > 1]


def _zero(model: nn.Module) -> Tensor:
    return next(model.parameters()).new_zeros(())

"""Single weights at zero: masks that training respects, and ADMM that draws weights towards them.

Sources: Han et al. 2015, "Learning both weights and connections for efficient neural networks"
(arXiv 1506.02626) for magnitude pruning with retraining; Ye et al. 2019, "Adversarial robustness vs
model compression, or both?" (arXiv 1903.12561), equations 6 to 9, for ADMM with concurrent
adversarial training.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from advprune.objectives.penalties import Penalty

Masks = dict[str, Tensor]
"""By name of the parameter, bool tensors like it: True is kept."""


def masks(weights: Mapping[str, Tensor], sparsity: float, scope: str) -> Masks:
    """The largest weights, by magnitude.

    Args:
        weights: By name.
        sparsity: Share of them that goes, in [0, 1).
        scope: ``"layer"`` takes that share of each; ``"global"`` ranks all together.
    """
    if scope == "layer":
        return {name: _largest(value.abs(), sparsity) for name, value in weights.items()}
    flat = torch.cat([value.detach().abs().flatten() for value in weights.values()])
    sizes = [value.numel() for value in weights.values()]
    kept = torch.split(_largest(flat, sparsity), sizes)
    return {
        name: mask.view_as(value) for (name, value), mask in zip(weights.items(), kept, strict=True)
    }


def prunable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of a model's layers, by name: biases and batch norms stay whole."""
    return {
        name: value
        for name, value in model.named_parameters()
        if value.requires_grad and value.dim() > 1
    }


@torch.no_grad()
def apply(kept: Masks, model: nn.Module) -> None:
    """Sets the weights that are not kept to 0, in place."""
    for name, mask in kept.items():
        model.get_parameter(name).mul_(mask)


def admm_start(model: nn.Module, sparsity: float, scope: str) -> dict[str, Tensor]:
    """`Z = project(W)` and `U = 0` of each weight, as ``z.NAME`` and ``u.NAME``."""
    weights = prunable(model)
    kept = masks(weights, sparsity, scope)
    found = {f"z.{name}": value.detach() * kept[name] for name, value in weights.items()}
    return found | {f"u.{name}": torch.zeros_like(value) for name, value in weights.items()}


@torch.no_grad()
def admm_update(
    duals: Mapping[str, Tensor], model: nn.Module, sparsity: float, scope: str
) -> dict[str, Tensor]:
    """`Z ← project(W + U)`, then `U ← U + W - Z`."""
    shifted = {name: value + duals[f"u.{name}"] for name, value in prunable(model).items()}
    kept = masks(shifted, sparsity, scope)
    found = {f"z.{name}": value * kept[name] for name, value in shifted.items()}
    return found | {f"u.{name}": value - found[f"z.{name}"] for name, value in shifted.items()}


def admm_penalty(duals: Mapping[str, Tensor]) -> Penalty:
    """`½ Σ ‖W - Z + U‖²`, to be weighted by ρ."""

    def distance(model: nn.Module) -> Tensor:
        terms = [
            (value - duals[f"z.{name}"] + duals[f"u.{name}"]).square().sum()
            for name, value in prunable(model).items()
        ]
        return 0.5 * torch.stack(terms).sum()

    return distance


def _largest(values: Tensor, sparsity: float) -> Tensor:
    """The largest ones, as many as the sparsity leaves, at least one."""
    count = max(1, round((1 - sparsity) * values.numel()))
    kept = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
    kept[values.detach().flatten().topk(count).indices] = True
    return kept.view_as(values)

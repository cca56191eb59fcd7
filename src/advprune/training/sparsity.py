"""Weights at zero, single or by channel: masks that training respects, and ADMM towards them.

Sources: Han et al. 2015, "Learning both weights and connections for efficient neural networks"
(arXiv 1506.02626) for magnitude pruning with retraining; Ye et al. 2019, "Adversarial robustness vs
model compression, or both?" (arXiv 1903.12561), equations 6 to 9, for ADMM with concurrent
adversarial training.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.objectives.penalties import Penalty
from advprune.structure import Layer, Structure

Masks = dict[str, Tensor]
"""By name of the parameter, bool tensors like it: True is kept."""

Choice = Callable[[Mapping[str, Tensor]], Masks]
"""Which of some weights, by name, are kept: the projection onto sparse ones."""


def choice(share: float, scope: str, structure: Structure | None = None) -> Choice:
    """How to choose the weights that are kept.

    Args:
        share: Of what goes, in (0, 1).
        scope: ``"layer"``, ``"global"`` or ``"channel"``.
        structure: The model's, which channels need.
    """
    if scope == "channel":
        assert structure is not None
        return partial(channel_masks, structure=structure, sparsity=share)
    return partial(masks, sparsity=share, scope=scope)


def channel_masks(weights: Mapping[str, Tensor], structure: Structure, sparsity: float) -> Masks:
    """The channels of each group whose weights are largest, by L2 norm over all that make them.

    Args:
        weights: By name; those that make no channel that could go are all kept.
        structure: The model's groups and layers.
        sparsity: Share of each group's channels that goes.
    """
    made = [layer for layer in structure.layers.values() if layer.parameter in weights]
    norms = torch.zeros(structure.units + 1)
    for layer in made:
        rows = _rows(weights[layer.parameter].detach(), layer).square().sum(1).cpu().float()
        norms.index_add_(0, layer.outputs, rows)
    keep = torch.ones(structure.units + 1, dtype=torch.bool)
    for group in structure.groups.values():
        if bool(norms[group.span].any()):
            keep[group.span] = largest(norms[group.span], sparsity)
    found = {name: torch.ones_like(value, dtype=torch.bool) for name, value in weights.items()}
    for layer in made:
        _rows(found[layer.parameter], layer)[~keep[layer.outputs]] = False
    return found


def _rows(weight: Tensor, layer: Layer) -> Tensor:
    """A view of a layer's weight, (outputs, all that one of them is made with)."""
    return weight.transpose(0, 1 - layer.reads).flatten(1)


def masks(weights: Mapping[str, Tensor], sparsity: float, scope: str) -> Masks:
    """The largest weights, by magnitude.

    Args:
        weights: By name.
        sparsity: Share of them that goes, in [0, 1).
        scope: ``"layer"`` takes that share of each; ``"global"`` ranks all together.
    """
    if scope == "layer":
        return {name: largest(value.abs(), sparsity) for name, value in weights.items()}
    flat = torch.cat([value.detach().abs().flatten() for value in weights.values()])
    sizes = [value.numel() for value in weights.values()]
    kept = torch.split(largest(flat, sparsity), sizes)
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


@torch.no_grad()
def shrink(model: nn.Module, threshold: float) -> None:
    """`w ← sign(w) max(|w| - threshold, 0)` for all weights of layers, in place.

    The proximal step of `threshold Σ |w|`, the shrinkage operator of Collins & Kohli 2014, "Memory
    bounded deep convolutional networks" (arXiv 1412.1442).
    """
    for weight in prunable(model).values():
        weight.copy_(functional.softshrink(weight, threshold))


def admm_start(model: nn.Module, choose: Choice) -> dict[str, Tensor]:
    """`Z = project(W)` and `U = 0` of each weight, as ``z.NAME`` and ``u.NAME``."""
    weights = prunable(model)
    kept = choose(weights)
    found = {f"z.{name}": value.detach() * kept[name] for name, value in weights.items()}
    return found | {f"u.{name}": torch.zeros_like(value) for name, value in weights.items()}


@torch.no_grad()
def admm_update(duals: Mapping[str, Tensor], model: nn.Module, choose: Choice) -> dict[str, Tensor]:
    """`Z ← project(W + U)`, then `U ← U + W - Z`."""
    shifted = {name: value + duals[f"u.{name}"] for name, value in prunable(model).items()}
    kept = choose(shifted)
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


def largest(values: Tensor, sparsity: float) -> Tensor:
    """Which values are the largest, as many as the sparsity leaves, at least one."""
    count = max(1, round((1 - sparsity) * values.numel()))
    kept = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
    kept[values.detach().flatten().topk(count).indices] = True
    return kept.view_as(values)

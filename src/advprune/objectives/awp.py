"""Adversarial weight perturbation, on top of any objective.

`min_w max_v ρ(w + v)`, where in each layer `v = γ ‖w‖ g / ‖g‖` and g is the gradient of the loss ρ
at w; gates are not perturbed. The images are attacked once, at w.

Source: Wu, Xia & Wang 2020, "Adversarial weight perturbation helps robust generalization" (arXiv
2004.05884), equations 7 to 10, with one step.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from advprune.gates import GatedModel
from advprune.objectives.losses import Adversary, Batch, Coefficients, Losses, Objective

_NOTHING = 1e-20


def perturbed(objective: Objective, size: float) -> Objective:
    """Returns the objective at weights that were moved against it.

    Args:
        objective: what is minimised; its gradients are taken at the moved weights.
        size: γ, the moves' length as a share of each layer's weights.
    """

    def at_worse_weights(
        model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients
    ) -> Losses:
        once = _Once(adversary)
        with _buffers_kept(model):
            loss = objective(model, batch, once, coefficients).weights
            moves = _against(loss, model, size)
        with moved(model, moves):
            return objective(model, batch, once, coefficients)

    return at_worse_weights


@contextmanager
def moved(model: nn.Module, moves: Mapping[str, Tensor]) -> Iterator[None]:
    """While open, the named parameters are `w + v`; gradients pass through to w.

    Args:
        model: whose parameters are moved.
        moves: v, by the parameter's qualified name.
    """
    places = []
    for name in moves:
        owner, _, attribute = name.rpartition(".")
        own = model.get_submodule(owner)._parameters  # noqa: SLF001 - what torch's own swap uses
        places.append((own, attribute, own[attribute], moves[name]))
    try:
        for own, attribute, value, move in places:
            own[attribute] = value + move  # type: ignore[assignment,operator]
        yield
    finally:
        for own, attribute, value, _ in places:
            own[attribute] = value


def _against(loss: Tensor, model: nn.Module, size: float) -> dict[str, Tensor]:
    """`γ ‖w‖ g / ‖g‖` of each weight with more than one dimension."""
    inner = model.model if isinstance(model, GatedModel) else model
    prefix = "model." if isinstance(model, GatedModel) else ""
    weights = {
        f"{prefix}{name}": value
        for name, value in inner.named_parameters()
        if value.requires_grad and value.dim() > 1
    }
    gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return {
        name: size * value.detach().norm() * gradient / (gradient.norm() + _NOTHING)
        for (name, value), gradient in zip(weights.items(), gradients, strict=True)
        if gradient is not None
    }


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)


class _Once:
    """An adversary that attacks a batch once, however often it is asked."""

    def __init__(self, adversary: Adversary) -> None:
        self._adversary = adversary
        self._found: Tensor | None = None

    def __call__(
        self, x: Tensor, y: Tensor, /, away_from: Tensor | Literal["itself"] | None = None
    ) -> Tensor:
        if self._found is None:
            self._found = self._adversary(x, y, away_from)
        return self._found

"""Importance scores, learned under attack, of weights that stay as they are: which are kept.

The network's weights are `θ ∘ m(s)`, with the mask m of the largest `|s|` in each layer. Masks pass
the gradient straight through: `∂L/∂s = ∂L/∂w θ sign(s)`. Biases and batch norms stay as they are.

Sources: Sehwag et al. 2020, "HYDRA: pruning adversarially robust neural networks" (arXiv
2002.10509), section 3, for the scores; Zhao & Wressnegger 2023, "Holistic adversarially robust
pruning" (arXiv 2311.01525), section 3, for shares of layers that are learned with them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod, sqrt

import torch
from torch import Tensor, nn

from advprune.training.optimisers import Named
from advprune.training.sparsity import Choice, Masks, largest, prunable

Tensors = dict[str, Tensor]

_FLOOR = 0.1
"""Of the share that is kept: what every layer keeps at least, alpha of HARP's code."""
_HALVINGS = 50


@dataclass
class Importance:
    """What is trained instead of weights.

    Attributes:
        weights: θ, by name of the parameter; they never change.
        scores: s, like them.
        choose: which weights are kept, from the scores.
    """

    weights: Tensors
    scores: Named
    choose: Choice

    @property
    def parameters(self) -> Named:
        """All that is trained, by name."""
        return {f"score.{name}": score for name, score in self.scores.items()}

    @property
    def tensors(self) -> Tensors:
        """All that a checkpoint holds, by name; the very tensors."""
        values = {name: parameter.data for name, parameter in self.parameters.items()}
        return values | {f"weight.{name}": value for name, value in self.weights.items()}

    def masks(self) -> Masks:
        """Which weights are kept as the scores are now."""
        return self.choose(self.scores)

    def pulled_back(self, gradients: Mapping[str, Tensor | None], _epoch: int) -> list[Tensor]:
        """Gradients of the parameters, in their order, from those of the network's weights."""
        return [
            slope * self.scores[name].detach().sign()
            for name, slope in self._slopes(gradients).items()
        ]

    def settle(self) -> None:
        """Meets the share exactly, where the parameters only come close to it."""

    def _slopes(self, gradients: Mapping[str, Tensor | None]) -> Tensors:
        """`∂L/∂m = ∂L/∂w θ` by name."""
        slopes = {}
        for name, weight in self.weights.items():
            gradient = gradients[name]
            slopes[name] = torch.zeros_like(weight) if gradient is None else gradient * weight
        return slopes


@dataclass
class Rated(Importance):
    """Importance scores, and how much of each layer is kept.

    A layer's share is `k = f + (1 - f) σ(r)` with f a tenth of the share of all; as for the masks,
    `∂L/∂k = Σ ∂L/∂m`. The loss has `γ max(Σ k n / (share Σ n) - 1, 0)` besides, with n the layer's
    weights and γ rising by `pressure` each epoch.

    Attributes:
        rates: r of each layer, 0-dim, by name of its weight.
        share: of all weights that are kept.
        pressure: by which γ grows.
    """

    rates: Named
    share: float
    pressure: float

    @property
    def parameters(self) -> Named:
        """All that is trained, by name."""
        return super().parameters | {f"rate.{name}": rate for name, rate in self.rates.items()}

    def masks(self) -> Masks:
        """Which weights are kept as scores and rates are now."""
        return {
            name: largest(score.abs(), 1 - self._kept(self.rates[name]))
            for name, score in self.scores.items()
        }

    def pulled_back(self, gradients: Mapping[str, Tensor | None], epoch: int) -> list[Tensor]:
        """Gradients of the parameters, in their order, from those of the network's weights."""
        budget = self.share * sum(score.numel() for score in self.scores.values())
        over = self._count() > budget
        gamma = self.pressure * (epoch + 1)
        found = super().pulled_back(gradients, epoch)
        for name, slope in self._slopes(gradients).items():
            too_many = gamma * slope.numel() / budget if over else 0.0
            sigmoid = self.rates[name].detach().sigmoid()
            floor = _FLOOR * self.share
            found.append((slope.sum() + too_many) * (1 - floor) * sigmoid * (1 - sigmoid))
        return found

    @torch.no_grad()
    def settle(self) -> None:
        """Moves all rates by one number so that the weights that are kept come up to the share."""
        low, high = -20.0, 20.0
        budget = self.share * sum(score.numel() for score in self.scores.values())
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self._count(middle) > budget else (middle, high)
        for rate in self.rates.values():
            rate.add_(low)

    def _count(self, shift: float = 0.0) -> float:
        """Weights that are kept, fractions too, were all rates higher by a number."""
        return sum(
            self._kept(self.rates[name] + shift) * score.numel()
            for name, score in self.scores.items()
        )

    def _kept(self, rate: Tensor) -> float:
        floor = _FLOOR * self.share
        return floor + (1 - floor) * float(rate.detach().sigmoid())


def scored(model: nn.Module, choose: Choice) -> Importance:
    """Scores of a model's weights, as they are now."""
    weights = {name: value.detach().clone() for name, value in prunable(model).items()}
    return Importance(weights, _first_scores(weights), choose)


def rated(model: nn.Module, choose: Choice, share: float, pressure: float) -> Rated:
    """Scores and rates; all layers keep the same share at first."""
    weights = {name: value.detach().clone() for name, value in prunable(model).items()}
    sigmoid = torch.tensor((1 - _FLOOR) * share / (1 - _FLOOR * share))
    rates = {
        name: nn.Parameter(sigmoid.logit().to(weight.device)) for name, weight in weights.items()
    }
    return Rated(weights, _first_scores(weights), choose, rates, share, pressure)


@torch.no_grad()
def write(importance: Importance, model: nn.Module, masks: Masks) -> None:
    """Puts `θ ∘ m` into the model."""
    for name, weight in importance.weights.items():
        model.get_parameter(name).copy_(weight * masks[name])


def _first_scores(weights: Tensors) -> Named:
    """`s = √(6 / fan-in) θ / max |θ|`, equation 3 of HYDRA: the largest weights come first."""
    return {
        name: nn.Parameter(
            sqrt(6 / prod(weight.shape[1:])) * weight / weight.abs().max().clamp_min(1e-12)
        )
        for name, weight in weights.items()
    }

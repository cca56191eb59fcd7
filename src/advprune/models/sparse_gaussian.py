"""Sparse variational dropout of single weights.

Source: Molchanov, Ashukha & Vetrov 2017, "Variational dropout sparsifies deep neural networks"
(arXiv 1701.05369), sections 4.1 to 4.4.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from advprune.models.gaussian import GaussianModel

_K1, _K2, _K3 = 0.63576, 1.87320, 1.48695
_NOTHING = 1e-8


def log_uniform_divergence(log_alpha: Tensor) -> Tensor:
    """Returns the KL divergence of N(μ, α μ²) from the log-uniform prior, elementwise.

    `k1 - k1 σ(k2 + k3 log α) + ½ log(1 + 1/α)` with k = 0.63576, 1.87320, 1.48695 (equation 14): an
    approximation with an error below 0.01, 0 where α is infinite.
    """
    first = _K1 - _K1 * (_K2 + _K3 * log_alpha).sigmoid()
    return first + 0.5 * functional.softplus(-log_alpha)


class SparseModel(GaussianModel):
    """A network whose weights are drawn from `N(μ, σ²)`, log-uniform a priori.

    Weights of convolutions and linear layers alone; all other parameters are as they are. What a
    layer puts out is drawn, for each example and output by itself, instead of its weights (local
    reparameterisation): `μ ∗ x + √(σ² ∗ x²) ε`. Where `log α = log(σ²/μ²)` is above the threshold,
    the weight is 0 in evaluation and in what ships.

    Attributes:
        spread: log σ² of each weight, in their order.

    Args:
        model: the network.
        start: first log σ².
        threshold: of log α.
    """

    def __init__(self, model: nn.Module, *, start: float = -8.0, threshold: float = 3.0) -> None:
        super().__init__(model, start=start)
        self.threshold = threshold

    def layers(self) -> dict[str, nn.Linear | nn.Conv2d]:
        """Returns the layers whose weights are random, by name."""
        return {
            name: module
            for name, module in self.model.named_modules()
            if isinstance(module, nn.Linear | nn.Conv2d) and module.weight.requires_grad
        }

    def means(self) -> list[nn.Parameter]:
        """Returns μ of each random weight."""
        return [self.model.get_parameter(f"{name}.weight") for name in self.layers()]

    def log_alpha(self) -> list[Tensor]:
        """Returns log α of each random weight."""
        return [
            (spread - torch.log(mean.square() + _NOTHING)).clamp(-20, 20)
            for mean, spread in zip(self.means(), self.spread, strict=True)
        ]

    def forward(self, x: Tensor) -> Tensor:
        """Returns what the network returns under drawn outputs, or as it ships."""
        if self.training:
            return self.draw(x)
        expected: Tensor = functional_call(self.model, self._kept(), (x,))
        return expected

    def draw(self, x: Tensor) -> Tensor:
        """Returns what the network returns under drawn outputs, in any mode."""
        with self._drawing():
            drawn: Tensor = self.model(x)
        return drawn

    def kl(self) -> Tensor:
        """Returns the divergence from the log-uniform prior over all random weights, 0-dim."""
        parts = [log_uniform_divergence(log_alpha).sum() for log_alpha in self.log_alpha()]
        return torch.stack(parts).sum()

    def shipped(self) -> nn.Module:
        """Returns a copy of the network whose weights above the threshold are 0."""
        network = deepcopy(self.model)
        with torch.no_grad():
            for name, weight in self._kept().items():
                network.get_parameter(name).copy_(weight)
        return network

    def _kept(self) -> dict[str, Tensor]:
        return {
            f"{name}.weight": layer.weight * (log_alpha < self.threshold)
            for (name, layer), log_alpha in zip(
                self.layers().items(), self.log_alpha(), strict=True
            )
        }

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        hooks = [
            layer.register_forward_hook(partial(_drawn, spread))
            for layer, spread in zip(self.layers().values(), self.spread, strict=True)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _drawn(spread: Tensor, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    squares, variances = inputs[0].square(), spread.exp()
    if isinstance(layer, nn.Conv2d):
        variance = functional.conv2d(
            squares, variances, None, layer.stride, layer.padding, layer.dilation, layer.groups
        )
    else:
        variance = functional.linear(squares, variances)
    return output + variance.clamp_min(_NOTHING).sqrt() * torch.randn_like(output)

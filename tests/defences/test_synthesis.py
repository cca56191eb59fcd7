import math

import pytest
import torch
from torch import Tensor, nn

from advprune.defences import Synthesis


def axes(sharpness: float = 1.0, floor: float = 0.0) -> Synthesis:
    """Two classes with one latent each that make images (z, 0) and (0, z)."""
    model = Synthesis(
        2, 2, latent=1, spread=0.5, sharpness=sharpness, floor=floor, steps=200, rate=0.05
    )
    model.decoder = Line(torch.eye(2))
    return model


class Line(nn.Module):
    def __init__(self, direction: Tensor) -> None:
        super().__init__()
        self.direction = direction[:, None]

    def forward(self, z: Tensor) -> Tensor:
        return z * self.direction


X = torch.tensor([[0.5, 0.0], [0.0, 0.2]])


def test_the_bound_is_that_of_the_best_latent() -> None:
    model = axes()
    # max of -(a - z)² / (2 · 0.25) - z² / 2 is at z = 4a / 5: -2a² / 5; what is left out: -2 b²
    expected = torch.tensor([[-0.1, -0.5], [-0.08, -0.016]])
    torch.testing.assert_close(model.bounds(X), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        model.explain(X)[0, :, 0], torch.tensor([0.4, 0.0]), atol=0.01, rtol=0
    )
    assert model(X).argmax(1).tolist() == [0, 1]


def test_the_gradient_is_that_at_the_best_latent() -> None:
    x = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(axes().bounds(x)[0, 0], x)
    torch.testing.assert_close(gradient[0], torch.tensor([-0.4, 0.0]), atol=0.02, rtol=0)  # -4a/5


def test_sharpness_and_floor_make_the_probabilities() -> None:
    found = axes(sharpness=2.0, floor=0.3)(X[:1]).softmax(1)
    p = torch.tensor([[math.exp(-0.2) + 0.3, math.exp(-1.0) + 0.3]])
    torch.testing.assert_close(found, p / p.sum(), atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="floor=-1"):
        Synthesis(4, floor=-1)


def test_training_raises_a_bound_with_the_encoders_own_divergence() -> None:
    model = axes()
    model.encoder = Encoder()
    found = model.evidence(X[None].expand(2, -1, -1), torch.Generator().manual_seed(0))
    noise = torch.randn((2, 2, 1), generator=torch.Generator().manual_seed(0))
    z = 0.5 + math.exp(-1) * noise
    kl = (0.25 + math.exp(-2) + 2 - 1) / 2
    apart = (X[None] - model.decoder(z)).square().sum(2) * 2
    torch.testing.assert_close(found, -apart - kl)


class Encoder(nn.Module):
    """Mean 1/2 and log variance -2, whatever the image."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([0.5, -2.0]).expand(*x.shape[:2], 2)

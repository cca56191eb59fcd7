import math

import pytest
import torch

from advprune.gates import LogNormal
from advprune.gates.base import ACTIVE_ABOVE

POINTS = [(0.0, math.exp(-5)), (-0.5, 0.3), (-3.0, 1.5), (-12.0, 6.0)]


def posterior(mu: float, sigma: float, units: int = 1) -> LogNormal:
    gate = LogNormal(units).double()
    with torch.no_grad():
        gate.mu.fill_(mu)
        gate.log_sigma.fill_(math.log(sigma))
    return gate.requires_grad_(False)


def density(mu: float, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
    """log θ on a fine grid and the truncated density's probability of each cell."""
    cells = (torch.arange(2_000_000, dtype=torch.float64) + 0.5) * (20 / 2_000_000) - 20
    raw = torch.exp(-0.5 * ((cells - mu) / sigma) ** 2)
    return cells, raw / raw.sum()


@pytest.mark.parametrize(("mu", "sigma"), POINTS)
def test_mean_ratio_and_divergence_are_those_of_the_density(mu: float, sigma: float) -> None:
    gate = posterior(mu, sigma)
    cells, share = density(mu, sigma)
    theta = cells.exp()
    mean = float((share * theta).sum())
    deviation = math.sqrt(float((share * (theta - mean) ** 2).sum()))
    divergence = float((share * torch.log(share.clamp_min(1e-300) * len(share))).sum())
    assert gate.mean().item() == pytest.approx(mean, rel=1e-4)
    assert gate.score().item() == pytest.approx(ACTIVE_ABOVE * (mean / deviation) ** 3, rel=1e-3)
    assert gate.kl().item() == pytest.approx(divergence, abs=1e-3)


@pytest.mark.parametrize(("mu", "sigma"), POINTS)
def test_draws_have_the_mean_of_the_density(mu: float, sigma: float) -> None:
    torch.manual_seed(0)
    gate = posterior(mu, sigma, units=100)
    drawn = gate.sample(4000)
    assert bool(((drawn > 0) & (drawn <= 1)).all())
    spread = float(drawn.std()) / math.sqrt(drawn.numel())
    assert drawn.mean().item() == pytest.approx(gate.mean()[0].item(), abs=5 * spread)


def test_a_unit_goes_where_its_noise_is_as_large_as_its_signal() -> None:
    assert not bool(posterior(-12.0, 6.0).active())
    assert bool(posterior(-0.5, 0.3).active())
    assert posterior(-12.0, 6.0).expected().item() == 0


@pytest.mark.parametrize("mu", [-1000.0, -20.0, 0.0, 1000.0])
@pytest.mark.parametrize("log_sigma", [-1000.0, -5.0, 2.0, 1000.0])
def test_extreme_posteriors_stay_finite(mu: float, log_sigma: float) -> None:
    gate = LogNormal(3)
    with torch.no_grad():
        gate.mu.fill_(mu)
        gate.log_sigma.fill_(log_sigma)
    torch.autograd.backward(gate.sample(4).sum() + gate.mean().sum() + gate.kl())
    for parameter in gate.parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.isfinite().all())

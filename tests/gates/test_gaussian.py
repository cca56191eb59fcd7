import math

import pytest
import torch

from advprune.gates import Bottleneck, VariationalDropout
from advprune.gates.gaussian import Gaussian


def posterior(family: type[Gaussian], mu: float, sigma: float, units: int = 1) -> Gaussian:
    gate: Gaussian = family(units).double()  # type: ignore[call-arg]
    with torch.no_grad():
        gate.mu.fill_(mu)
        gate.log_variance.fill_(2 * math.log(sigma))
    return gate.requires_grad_(False)


@pytest.mark.parametrize(("mu", "sigma"), [(1.0, 0.1), (-0.5, 0.7), (0.2, 2.0)])
def test_the_bottlenecks_divergence_is_that_from_its_best_prior(mu: float, sigma: float) -> None:
    own = torch.distributions.Normal(mu, sigma)
    divergences = [
        torch.distributions.kl_divergence(own, torch.distributions.Normal(0.0, xi)).item()
        for xi in torch.linspace(0.05, 4.0, 4000).tolist()
    ]
    found = posterior(Bottleneck, mu, sigma).kl().item()
    assert found == pytest.approx(min(divergences), abs=1e-4)


@pytest.mark.parametrize("log_alpha", [-6.0, -2.0, 0.0, 2.0, 5.0])
def test_variational_dropouts_divergence_is_that_from_the_log_uniform_prior(
    log_alpha: float,
) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(4_000_000, generator=generator, dtype=torch.float64)
    alpha = math.exp(log_alpha)

    def divergence(alpha: float) -> float:
        """Up to a constant: `E log |m| - ½ log α` with m ~ N(1, α)."""
        return float(torch.log((1 + math.sqrt(alpha) * noise).abs()).mean()) - 0.5 * math.log(alpha)

    expected = divergence(alpha) - divergence(math.exp(25.0))  # 0 where α is infinite
    found = posterior(VariationalDropout, 0.5, 0.5 * math.sqrt(alpha)).kl().item()
    assert found == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("family", [Bottleneck, VariationalDropout])
def test_draws_have_the_mean_and_deviation_of_the_gate(family: type[Gaussian]) -> None:
    torch.manual_seed(0)
    drawn = posterior(family, 0.4, 0.3, units=100).sample(1000)
    assert drawn.mean().item() == pytest.approx(0.4, abs=0.01)
    assert drawn.std().item() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize(("family", "threshold"), [(Bottleneck, 0.0), (VariationalDropout, 3.0)])
def test_a_unit_goes_from_its_threshold_on(family: type[Gaussian], threshold: float) -> None:
    for shift, active in ((-0.01, True), (0.01, False)):
        gate = posterior(family, -0.5, 0.5 * math.exp((threshold + shift) / 2))
        assert bool(gate.active()) is active
        assert gate.expected().item() == (-0.5 if active else 0)

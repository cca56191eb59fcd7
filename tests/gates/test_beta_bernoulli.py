import math

import pytest
import torch
from torch import Tensor

from advprune.gates import BetaBernoulli

POINTS = [(0.5, 1.0), (1.5, 3.0), (3.0, 0.7), (0.3133, 1.0)]


def raw(value: float) -> float:
    """Inverts softplus."""
    return math.log(math.expm1(value))


def posterior(a: float, b: float, units: int = 1) -> BetaBernoulli:
    gate = BetaBernoulli(units).double()
    with torch.no_grad():
        gate.raw_a.fill_(raw(a))
        gate.raw_b.fill_(raw(b))
    return gate.requires_grad_(False)


def draws(a: float, b: float) -> Tensor:
    """Draws π from the Kumaraswamy distribution by inverting its distribution function."""
    uniform = torch.rand(
        400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    ).clamp(1e-15, 1 - 1e-15)
    return (1 - uniform ** (1 / b)) ** (1 / a)


@pytest.mark.parametrize(("a", "b"), POINTS)
def test_the_divergence_is_the_mean_log_ratio_of_posterior_and_prior(a: float, b: float) -> None:
    pi, alpha = draws(a, b), 1e-4
    log_pi = torch.log(pi.clamp_min(1e-300))
    log_q = math.log(a * b) + (a - 1) * log_pi + (b - 1) * torch.log1p(-(pi**a)).clamp_min(-40)
    log_p = math.log(alpha) + (alpha - 1) * log_pi
    assert float(posterior(a, b).kl()) == pytest.approx(float((log_q - log_p).mean()), abs=1e-2)


@pytest.mark.parametrize(("a", "b"), POINTS)
def test_the_mean_gate_is_the_mean_of_draws(a: float, b: float) -> None:
    assert float(posterior(a, b).mean()) == pytest.approx(float(draws(a, b).mean()), abs=2e-3)


def test_the_mean_gate_has_its_published_values() -> None:
    assert float(posterior(1.5, 3.0).mean()) == pytest.approx(0.36818, abs=1e-5)
    assert BetaBernoulli(1, start=-1.0).mean().item() == pytest.approx(0.2385, abs=1e-4)
    assert BetaBernoulli(1, start=2.0).mean().item() == pytest.approx(0.6802, abs=1e-4)


def test_the_divergence_at_the_start_is_that_of_the_reference_code() -> None:
    assert BetaBernoulli(1, start=-1.0).kl().item() == pytest.approx(7.05, abs=5e-3)
    assert BetaBernoulli(1, start=2.0).kl().item() == pytest.approx(8.965, abs=5e-3)


def test_a_unit_is_active_from_a_thousandth_on() -> None:
    edge = 1e-3 / (1 - 1e-3)  # with b = 1 the mean gate is a / (1 + a)
    for factor, active in ((0.999, False), (1.001, True)):
        gate = posterior(edge * factor, 1.0).float()
        assert bool(gate.active()) is active
        assert (gate.expected().item() > 0) is active


def test_the_expected_gate_is_the_mean_where_active_and_else_zero() -> None:
    gate = BetaBernoulli(2)
    with torch.no_grad():
        gate.raw_a.copy_(torch.tensor([2.0, -9.0]))
    assert gate.mean()[1].item() > 0
    assert gate.expected().tolist() == [gate.mean()[0].item(), 0.0]


@pytest.mark.parametrize("raw_a", [-1000.0, -10.0, 0.0, 10.0, 1000.0])
@pytest.mark.parametrize("raw_b", [-1000.0, -10.0, 0.0, 50.0, 1000.0])
def test_extreme_posteriors_stay_finite_with_finite_gradients(raw_a: float, raw_b: float) -> None:
    torch.manual_seed(0)
    gate = BetaBernoulli(500)
    with torch.no_grad():
        gate.raw_a.fill_(raw_a)
        gate.raw_b.fill_(raw_b)
    sample, mean = gate.sample(4), gate.mean()
    torch.autograd.backward(sample.sum() + mean.sum() + gate.kl())
    assert bool(((sample >= 0) & (sample <= 1)).all())
    assert bool(((mean >= 0) & (mean <= 1)).all())
    for parameter in gate.parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.isfinite().all())


def test_a_sample_has_one_value_an_example_and_unit() -> None:
    assert BetaBernoulli(7).sample(3).shape == (3, 7)
    assert BetaBernoulli(7).kl_per_unit().shape == (7,)
    assert BetaBernoulli(7).kl().shape == ()


def test_samples_open_as_often_as_the_mean_gate_says() -> None:
    torch.manual_seed(0)
    gate = posterior(1.5, 3.0, units=20_000)
    opened = (gate.sample(4) > 0.5).double().mean()
    assert float(opened) == pytest.approx(0.36818, abs=1e-2)


def test_the_batch_shares_the_probability_but_not_the_gate() -> None:
    torch.manual_seed(0)
    opened = (posterior(0.3, 1.0, units=300).sample(400) > 0.5).double()
    rates = opened.mean(dim=0)  # each unit's own π
    assert float(rates.var()) > 0.05  # gates drawn alone would give about 0.0004
    assert bool(((rates > 0.1) & (rates < 0.9)).any())


def test_closing_makes_units_inactive_and_reviving_hardly_active() -> None:
    gate = BetaBernoulli(3)
    gate.close(torch.tensor([True, True, False]))
    assert gate.active().tolist() == [False, False, True]
    gate.revive(torch.tensor([True, False, False]))
    assert gate.active().tolist() == [True, False, True]
    assert gate.mean()[0].item() == pytest.approx(0.01, rel=0.02)
    assert gate.mean()[2].item() == pytest.approx(0.2385, abs=1e-4)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="alpha=0"):
        BetaBernoulli(1, alpha=0.0)
    with pytest.raises(ValueError, match="temperature=-1"):
        BetaBernoulli(1, temperature=-1.0)

import math

import pytest
import torch

from advprune.gates.passing import Passing

HERE = torch.tensor([True])


def passing(units: int = 1, **settings: float) -> Passing:
    made = Passing(units, **{"center": 0.5, "prior": 2.0, "temperature": 0.1} | settings)
    return made.requires_grad_(False).eval()


def test_the_chance_is_the_normalised_input_scaled_shifted_and_clipped() -> None:
    made = passing()
    made.eps = 0.0
    made.running_mean = torch.tensor([3.0])
    made.running_var = torch.tensor([4.0])
    made.weight.fill_(0.2)
    x = torch.tensor([[5.0], [3.0], [20.0], [-20.0]])  # (x - 3) / 2 · 0.2 + 0.5
    found = made.chance(x, HERE, sampling=False, copies=1)
    torch.testing.assert_close(found, torch.tensor([[0.7], [0.5], [1.0], [0.0]]))
    scale, shift = made.line()
    torch.testing.assert_close(scale * x + shift, (x - 3) / 2 * 0.2 + 0.5)


def test_the_divergence_is_that_of_two_gaussians() -> None:
    made = passing()
    made.raw_spread.fill_(math.log(math.expm1(0.7)))
    expected = math.log(2 / 0.7) + (0.7**2 + 0.5**2) / (2 * 2**2) - 0.5
    assert made.kl_per_unit().item() == pytest.approx(expected, abs=1e-6)
    normal = torch.distributions.Normal
    known = torch.distributions.kl_divergence(normal(0.5, 0.7), normal(0.0, 2.0))
    assert made.kl_per_unit().item() == pytest.approx(float(known), abs=1e-6)


def test_draws_open_as_often_as_the_chance_says() -> None:
    made = passing(400)
    made.raw_spread.fill_(-20.0)
    made.running_mean = torch.full((400,), -0.2)
    found = made.chance(torch.zeros(400, 400), HERE.expand(400), sampling=True, copies=1)
    assert (found > 0.5).float().mean().item() == pytest.approx(0.7, abs=5e-3)


def test_a_draw_of_beta_is_one_for_the_whole_batch() -> None:
    made = passing(300, center=0.5)
    opened = (made.chance(torch.zeros(200, 300), HERE, sampling=True, copies=1) > 0.5).float()
    rates = opened.mean(0)  # β ~ N(0.5, 1), so that about 31 % of the units open for nobody
    assert (rates == 0).float().mean().item() == pytest.approx(0.31, abs=0.08)
    assert (rates == 1).float().mean().item() == pytest.approx(0.31, abs=0.08)


def test_counterparts_share_their_draws() -> None:
    found = passing(50).chance(torch.zeros(6, 50), HERE, sampling=True, copies=2)
    assert torch.equal(found[:3], found[3:])
    assert not torch.equal(found[0], found[1])


def test_training_normalises_by_the_batch_and_sends_no_gradient_to_the_input() -> None:
    made = passing().train()
    made.weight.requires_grad_()
    x = torch.tensor([[1.0], [3.0]], requires_grad=True)
    found = made.chance(x, HERE, sampling=False, copies=1)  # 0.5 ± 1, clipped
    torch.testing.assert_close(found, torch.tensor([[0.0], [1.0]]))
    torch.autograd.backward(found.sum() + 0 * x.sum())
    assert x.grad is not None
    assert not x.grad.any()
    assert made.running_mean is not None
    assert made.running_mean.item() == pytest.approx(0.2)


def test_in_evaluation_the_gradient_reaches_the_input() -> None:
    x = torch.zeros(1, 1, requires_grad=True)
    (slope,) = torch.autograd.grad(passing().chance(x, HERE, sampling=False, copies=1).sum(), x)
    assert slope.item() == pytest.approx(1.0, abs=1e-4)


def test_the_share_of_examples_that_pass_follows_training() -> None:
    made = passing(2).train()
    made.momentum = 1.0
    x = torch.tensor([[1.0, 1.0], [3.0, 3.0]])
    made.chance(x, torch.tensor([True, False]), sampling=False, copies=1)
    assert made.share.tolist() == [0.5, 0.0]  # the reader is not given the second unit
    made.eval().chance(10 * x, torch.tensor([True, True]), sampling=False, copies=1)
    assert made.share.tolist() == [0.5, 0.0]

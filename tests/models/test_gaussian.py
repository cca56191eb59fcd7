import math

import pytest
import torch
from torch import Tensor, nn

from advprune.models.gaussian import DrawnModel, GaussianModel


def gaussian(mean: float, sigma: float, prior: float) -> GaussianModel:
    """A model of one weight."""
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(mean)
    return GaussianModel(layer, start=math.log(math.expm1(sigma)), prior=prior)


@pytest.mark.parametrize(("mean", "sigma", "prior"), [(0.5, 0.2, 1.0), (-1.0, 2.0, 0.7)])
def test_the_divergence_is_that_of_two_gaussians(mean: float, sigma: float, prior: float) -> None:
    posterior = torch.distributions.Normal(mean, sigma)
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, prior))
    found = gaussian(mean, sigma, prior).kl()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_draws_have_the_mean_and_the_deviation_of_the_weight() -> None:
    torch.manual_seed(0)
    model, one = gaussian(0.5, 0.2, 1.0).train(), torch.ones(1, 1)
    with torch.no_grad():
        drawn = torch.cat([model(one) for _ in range(2000)])
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.02)
    assert drawn.std().item() == pytest.approx(0.2, rel=0.1)


def test_one_draw_serves_a_batch_and_the_means_serve_in_eval_mode(
    make_chain: type[nn.Module], images: Tensor
) -> None:
    chain = make_chain()
    model = GaussianModel(chain, start=0.0)
    model.model.eval()  # statistics of batch norm do not depend on the batch
    model.training = True
    same = images[:1].expand(3, -1, -1, -1)
    first = model(same)
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first, model(same))
    assert torch.equal(model.eval()(images), chain.eval()(images))


def test_weights_may_be_drawn_in_evaluation_too() -> None:
    torch.manual_seed(0)
    model, ones = DrawnModel(gaussian(0.5, 0.2, 1.0).eval()).eval(), torch.ones(2, 1)
    with torch.no_grad():
        drawn = torch.stack([model(ones) for _ in range(500)])
    assert torch.equal(drawn[:, 0], drawn[:, 1])
    assert drawn.std().item() == pytest.approx(0.2, rel=0.15)


def test_means_and_spreads_both_learn(make_chain: type[nn.Module], images: Tensor) -> None:
    model = GaussianModel(make_chain())
    loss: Tensor = model(images).square().mean() + model.kl()
    torch.autograd.backward(loss)
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.spread)
    assert all(p.grad is not None for p in model.means())


def test_a_prior_has_a_deviation() -> None:
    with pytest.raises(ValueError, match="prior=0"):
        GaussianModel(nn.Linear(1, 1), prior=0.0)

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from advprune.models.sparse_gaussian import SparseModel, log_uniform_divergence


def single(mean: float, log_alpha: float) -> SparseModel:
    """A model of one weight."""
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(mean)
    return SparseModel(layer, start=log_alpha + math.log(mean**2))


def test_the_divergence_is_the_published_approximation() -> None:
    for log_alpha in (-3.0, 0.0, 2.0):
        sigmoid = 1 / (1 + math.exp(-(1.8732 + 1.48695 * log_alpha)))
        expected = 0.63576 - 0.63576 * sigmoid + 0.5 * math.log1p(math.exp(-log_alpha))
        assert single(0.5, log_alpha).kl().item() == pytest.approx(expected, abs=1e-5)
    assert log_uniform_divergence(torch.tensor(20.0)).item() == pytest.approx(0, abs=1e-6)


def test_the_divergence_adds_up_over_weights() -> None:
    model = SparseModel(nn.Linear(3, 2), start=-4.0)
    weight = model.model.get_parameter("weight").data.fill_(0.5)
    one = log_uniform_divergence(torch.tensor(-4 - math.log(0.25))).item()
    assert model.kl().item() == pytest.approx(weight.numel() * one, rel=1e-5)


def test_a_weight_is_0_from_the_threshold_on() -> None:
    for log_alpha, kept in ((2.99, True), (3.01, False)):
        model = single(0.5, log_alpha).eval()
        assert model(torch.ones(1, 1)).item() == (0.5 if kept else 0.0)
        shipped = model.shipped().get_parameter("weight")
        assert shipped.item() == (0.5 if kept else 0.0)
        assert model.model.get_parameter("weight").item() == 0.5


def test_a_layers_output_has_the_mean_and_variance_of_drawn_weights() -> None:
    layer = nn.Linear(2, 1)
    layer.weight.data.copy_(torch.tensor([[1.0, -2.0]]))
    layer.bias.data.fill_(0.5)
    model = SparseModel(layer).train()
    model.spread[0].data.copy_(torch.tensor([[0.04, 0.25]]).log())
    x = torch.tensor([[3.0, 1.0]]).expand(20_000, 2)
    drawn = model(x).detach()
    assert drawn.mean().item() == pytest.approx(3 - 2 + 0.5, abs=0.03)
    assert drawn.var().item() == pytest.approx(9 * 0.04 + 1 * 0.25, rel=0.05)


def test_convolutions_draw_alike() -> None:
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=False)
    model = SparseModel(layer, start=math.log(0.01)).train()
    x = torch.ones(4000, 2, 3, 3)
    drawn = model(x).detach()
    torch.testing.assert_close(drawn.mean(0), layer(x[:1])[0].detach(), atol=0.03, rtol=0)
    seen = torch.tensor([[4.0, 4.0], [4.0, 4.0]]) * 2  # pixels that a corner's window covers
    torch.testing.assert_close(drawn.var(0), (0.01 * seen).expand(3, 2, 2), rtol=0.15, atol=0)


def test_in_eval_mode_it_is_what_ships_and_no_hook_is_left(
    make_chain: type[nn.Module], images: Tensor
) -> None:
    model = SparseModel(make_chain().eval(), start=-5.0)
    model.training = True
    assert not torch.equal(model(images), model(images))
    assert not any(module._forward_hooks for module in model.modules())
    torch.testing.assert_close(model.eval()(images), model.shipped()(images))
    assert bool((model.shipped().get_parameter("conv2.weight") == 0).any())
    copy.deepcopy(model)


def test_both_losses_reach_means_and_variances(make_chain: type[nn.Module], images: Tensor) -> None:
    model = SparseModel(make_chain(), start=-5.0).train()
    for loss in (model(images).square().sum(), model.kl()):
        wanted = [*model.means(), *model.spread]
        assert len(wanted) == 8
        assert all(bool(found.any()) for found in torch.autograd.grad(loss, wanted))

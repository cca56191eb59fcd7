import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.bounds import BOUNDS, Region, margin_bounds, network, worst_cross_entropy
from advprune.threat import ThreatModel

Y = torch.tensor([0, 1, 2])


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("eps", [0.01, 0.3])
def test_no_allowed_image_has_a_larger_cross_entropy(
    bound: str, share: float, eps: float, nets: dict[str, nn.Module], pictures: Tensor
) -> None:
    model, threat = nets["everything"], ThreatModel("linf", eps)
    region = Region(pictures, threat)
    worst = worst_cross_entropy(network(model, pictures), region, Y, 3, bound, share)
    for seed in range(10):
        point = threat.random_start(pictures, torch.Generator().manual_seed(seed))
        loss = functional.cross_entropy(model(point), Y, reduction="none")
        assert bool((loss <= worst.loss + 1e-4).all())


def test_without_a_radius_the_bound_is_the_cross_entropy(
    nets: dict[str, nn.Module], pictures: Tensor
) -> None:
    model = nets["residual"]
    region = Region(pictures, ThreatModel("linf", 0.1).at(0))
    for bound in BOUNDS:
        found = worst_cross_entropy(network(model, pictures), region, Y, 3, bound).loss
        clean = functional.cross_entropy(model(pictures), Y, reduction="none")
        torch.testing.assert_close(found, clean, atol=1e-3, rtol=1e-3)


def test_interval_bounds_alone_give_the_cross_entropy_of_the_worst_margins(
    nets: dict[str, nn.Module], pictures: Tensor
) -> None:
    bounded = network(nets["residual"], pictures)
    region = Region(pictures, ThreatModel("linf", 0.05))
    found = worst_cross_entropy(bounded, region, Y, 3, "crown_ibp", linear_share=0.0)
    margins = margin_bounds(bounded, region, Y, 3, "ibp")
    torch.testing.assert_close(found.margins, margins)
    expected = functional.cross_entropy(-margins, Y, reduction="none")
    torch.testing.assert_close(found.loss, expected)
    wider = worst_cross_entropy(bounded, region, Y, 3, "crown", linear_share=1.0)
    assert wider.loss.sum() < found.loss.sum()


def test_huge_bounds_neither_overflow_nor_lose_their_gradient(pictures: Tensor) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(128, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(100)
    region = Region(pictures, ThreatModel("linf", 0.3))
    loss = worst_cross_entropy(network(model, pictures), region, Y, 3).loss.mean()
    assert bool(torch.isfinite(loss))
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)

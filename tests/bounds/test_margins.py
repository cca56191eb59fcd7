import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advprune.bounds import BOUNDS, Region, is_certified, margin_bounds, network
from advprune.threat import NORMS, ThreatModel

Y = torch.tensor([0, 1, 2])


def margins(model: nn.Module, x: Tensor, y: Tensor = Y) -> Tensor:
    logits = model(x)
    found: Tensor = logits.gather(1, y.unsqueeze(1)) - logits
    return found


class Two(nn.Module):
    """z = (relu(a) + relu(b), 0), a = x1 + x2, b = x1 - x2."""

    def __init__(self) -> None:
        super().__init__()
        self.f1, self.f2 = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
        self.f1.weight.data = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
        self.f2.weight.data = torch.tensor([[1.0, 1.0], [0.0, 0.0]])

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.f2(self.f1(x.flatten(1)).relu())
        return logits


@pytest.mark.parametrize(
    ("bound", "expected"), [("ibp", -6.0), ("crown_ibp", -4.5), ("crown", -4.5), ("polytope", -4.5)]
)
def test_bounds_are_those_computed_by_hand(bound: str, expected: float) -> None:
    x = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    region = Region(x, ThreatModel("linf", 1.0, bounds=(-5.0, 5.0)))
    # a, b lie in [-1, 3]: up to 3 + 3 apart, 3/4 (a + 1) + 3/4 (b + 1) <= 4.5 together; truly 4
    found = margin_bounds(network(Two(), x), region, torch.tensor([1]), 2, bound)
    torch.testing.assert_close(found, torch.tensor([[expected, 0.0]]))


@pytest.mark.parametrize("name", ["everything", "residual"])
@pytest.mark.parametrize("bound", BOUNDS)
def test_without_a_radius_bounds_are_the_margins(
    name: str, bound: str, nets: dict[str, nn.Module], pictures: Tensor
) -> None:
    model = nets[name]
    region = Region(pictures, ThreatModel("linf", 1.0).at(0))
    found = margin_bounds(network(model, pictures), region, Y, 3, bound)
    torch.testing.assert_close(found, margins(model, pictures), atol=1e-4, rtol=1e-4)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), norm=st.sampled_from(NORMS), radius=st.floats(0.01, 0.3))
@pytest.mark.parametrize("name", ["everything", "residual"])
@pytest.mark.parametrize("bound", BOUNDS)
def test_no_point_of_the_region_goes_below_the_bounds(
    name: str, bound: str, seed: int, norm: str, radius: float, nets: dict[str, nn.Module]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(3, 2, 8, 8, generator=generator)
    threat = ThreatModel(norm, radius * (1 if norm == "linf" else 5))
    found = margin_bounds(network(nets[name], x), Region(x, threat), Y, 3, bound)
    gap = torch.full_like(found, torch.inf)
    for _ in range(20):
        point = threat.random_start(x, generator)
        gap = torch.minimum(gap, margins(nets[name], point) - found)
    corner = threat.project(x + 10 * torch.randn(x.shape, generator=generator), x)
    gap = torch.minimum(gap, margins(nets[name], corner) - found)
    assert gap.min() > -1e-4


@pytest.mark.parametrize("norm", NORMS)
def test_linear_bounds_of_a_linear_network_are_reached(norm: str, pictures: Tensor) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(48, 3),
    ).eval()  # fmt: skip
    threat = ThreatModel(norm, 0.5, bounds=(-100.0, 100.0))
    found = margin_bounds(network(model, pictures), Region(pictures, threat), Y, 3, "crown")
    for other in range(3):
        x = pictures.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(margins(model, x)[:, other].sum(), x)
        if norm == "l1":
            largest = gradient.flatten(1).abs().argmax(1, keepdim=True)
            only = torch.zeros_like(gradient.flatten(1)).scatter_(1, largest, 1).view_as(gradient)
            direction = gradient.sign() * only
        else:
            direction = threat.ascent(gradient)
        worst = margins(model, pictures - 0.5 * direction)[:, other]
        torch.testing.assert_close(found[:, other], worst, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["everything", "residual"])
def test_linear_bounds_are_never_looser_than_intervals_and_crown_is_the_tightest(
    name: str, nets: dict[str, nn.Module], pictures: Tensor
) -> None:
    region = Region(pictures, ThreatModel("linf", 0.01))
    found = {
        bound: margin_bounds(network(nets[name], pictures), region, Y, 3, bound) for bound in BOUNDS
    }
    assert bool((found["crown_ibp"] >= found["ibp"]).all())
    assert found["crown_ibp"].sum() > found["ibp"].sum()
    assert found["crown"].sum() > found["crown_ibp"].sum()


def test_a_larger_radius_certifies_less(nets: dict[str, nn.Module], pictures: Tensor) -> None:
    model = nets["residual"]
    small, large = (
        margin_bounds(network(model, pictures), Region(pictures, ThreatModel("linf", e)), Y, 3)
        for e in (0.01, 0.02)
    )
    assert bool((small >= large - 1e-6).all())


def test_the_true_class_needs_no_margin_against_itself() -> None:
    found = torch.tensor([[0.0, 0.1], [0.2, 0.0], [-0.1, 0.0], [0.0, 0.0]])
    assert is_certified(found, torch.tensor([0, 1, 1, 0])).tolist() == [True, True, False, False]


def test_an_unknown_bound_is_refused(nets: dict[str, nn.Module], pictures: Tensor) -> None:
    region = Region(pictures, ThreatModel("linf", 0.1))
    with pytest.raises(ValueError, match="Unknown bound 'crowm'"):
        margin_bounds(network(nets["residual"], pictures), region, Y, 3, "crowm")

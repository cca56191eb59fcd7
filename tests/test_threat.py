import math
import re

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from advprune.threat import NORMS, OutsideThreatError, ThreatModel

shapes = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)).map(
    tuple
)
radii = st.floats(1e-4, 1.0)
seeds = st.integers(0, 2**31)
norms = st.sampled_from(NORMS)


def images(shape: tuple[int, ...], seed: int) -> Tensor:
    """Random images, half of whose pixels stand at a bound."""
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.rand(shape, generator=generator) - 0.5).clamp(0, 1)


@settings(max_examples=60, deadline=None)
@given(norm=norms, eps=radii, shape=shapes, seed=seeds, far=st.sampled_from([1e-3, 1.0, 100.0]))
@example(norm="l1", eps=0.5, shape=(1, 1, 4, 6), seed=1, far=100.0)
def test_projection_lies_in_ball_and_bounds_and_is_idempotent(
    norm: str, eps: float, shape: tuple[int, ...], seed: int, far: float
) -> None:
    threat, x = ThreatModel(norm, eps), images(shape, seed)
    there = x + far * (images(shape, seed + 1) - 0.5)
    projected = threat.project(there, x)
    threat.audit(projected, x)
    assert torch.allclose(threat.project(projected, x), projected, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(norm=norms, eps=radii, shape=shapes, seed=seeds)
def test_projection_leaves_what_is_allowed(
    norm: str, eps: float, shape: tuple[int, ...], seed: int
) -> None:
    threat, x = ThreatModel(norm, eps), images(shape, seed)
    inside = threat.at(0.99 * eps).random_start(x)
    assert torch.allclose(threat.project(inside, x), inside, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(norm=norms, eps=radii, shape=shapes, seed=seeds)
def test_random_start_lies_in_ball_and_bounds(
    norm: str, eps: float, shape: tuple[int, ...], seed: int
) -> None:
    threat, x = ThreatModel(norm, eps), images(shape, seed)
    generator = torch.Generator().manual_seed(seed)
    threat.audit(threat.random_start(x, generator), x)


@settings(max_examples=30, deadline=None)
@given(norm=norms, eps=radii, seed=seeds)
def test_projection_is_the_nearest_point_of_the_ball(norm: str, eps: float, seed: int) -> None:
    threat = ThreatModel(norm, eps, bounds=(-100, 100))
    x, there = torch.zeros(1, 1, 2, 3), images((1, 1, 2, 3), seed) - 0.5
    projected = threat.project(there, x)
    others = threat.random_start(x.expand(200, -1, -1, -1))
    nearest = (others - there).flatten(1).norm(dim=1).min()
    assert (projected - there).norm() <= nearest + 1e-5


def test_l1_projection_is_the_soft_threshold_known_by_hand() -> None:
    x = torch.zeros(2, 1, 1, 3)
    there = torch.tensor([[3.0, -2.0, 0.5], [0.1, 0.2, -0.3]]).view_as(x)
    projected = ThreatModel("l1", 2, bounds=(-9, 9)).project(there, x)
    expected = torch.tensor([[1.5, -0.5, 0.0], [0.1, 0.2, -0.3]]).view_as(x)
    torch.testing.assert_close(projected, expected)


def test_l1_projection_counts_what_the_bounds_cut_off() -> None:
    x = torch.tensor([0.9, 0.5, 0.5, 0.0]).view(1, 1, 1, 4)
    there = x + torch.tensor([0.8, 0.4, -0.3, -0.7]).view_as(x)
    projected = ThreatModel("l1", 0.6).project(there, x)  # .1 of the first, none of the last
    expected = x + torch.tensor([0.1, 0.3, -0.2, 0.0]).view_as(x)
    torch.testing.assert_close(projected, expected)


@settings(max_examples=30, deadline=None)
@given(eps=radii, seed=seeds)
def test_l1_projection_is_the_nearest_point_of_ball_and_bounds(eps: float, seed: int) -> None:
    threat, x = ThreatModel("l1", eps), images((1, 1, 2, 3), seed)
    there = images((1, 1, 2, 3), seed + 1) + images((1, 1, 2, 3), seed + 2) - 0.5
    projected = threat.project(there, x)
    others = threat.random_start(x.expand(200, -1, -1, -1))
    nearest = (others - there).flatten(1).norm(dim=1).min()
    assert (projected - there).norm() <= nearest + 1e-5


def test_l2_projection_scales_the_perturbation() -> None:
    x = torch.full((1, 1, 1, 2), 0.2)
    projected = ThreatModel("l2", 0.5).project(x + torch.tensor([0.6, 0.8]), x)
    torch.testing.assert_close(projected, x + torch.tensor([0.3, 0.4]))


@pytest.mark.parametrize("norm", NORMS)
def test_radius_0_allows_the_image_alone(norm: str) -> None:
    x = images((3, 2, 4, 5), 0)
    threat = ThreatModel(norm, 0.3).at(0)
    assert threat.eps == 0
    assert torch.equal(threat.project(torch.rand_like(x), x), x)
    assert torch.equal(threat.project(x, x), x)
    assert torch.equal(threat.random_start(x), x)


@pytest.mark.parametrize("norm", NORMS)
def test_random_start_is_uniform_in_the_ball(norm: str) -> None:
    threat = ThreatModel(norm, 1, bounds=(-2, 2))
    x = torch.zeros(20_000, 1, 1, 3)
    start = threat.random_start(x)
    # the share of a uniform sample within half the radius is (1/2) ** 3, and it has no direction
    inner = (threat.distance(start, x) < 0.5).float().mean().item()
    assert inner == pytest.approx(0.125, abs=0.01)
    assert start.mean(0).abs().max() < 0.02
    # along one axis: variance 1/3 in the cube, 1/5 in the sphere, 1/10 in the octahedron
    variance = {"linf": 1 / 3, "l2": 1 / 5, "l1": 1 / 10}[norm]
    torch.testing.assert_close(
        start.var(0).flatten(), torch.full((3,), variance), rtol=0.05, atol=0
    )


@pytest.mark.parametrize("norm", NORMS)
def test_noise_of_an_example_does_not_depend_on_the_batch(norm: str) -> None:
    threat, x = ThreatModel(norm, 0.5), images((6, 1, 3, 5), 0)
    together = threat.random_start(x, torch.Generator().manual_seed(7))
    generator = torch.Generator().manual_seed(7)
    apart = torch.cat([threat.random_start(part, generator) for part in (x[:1], x[1:4], x[4:])])
    assert torch.equal(together, apart)


def test_random_start_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    ThreatModel("l2", 1).random_start(torch.zeros(2, 1, 3, 3))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("norm", NORMS)
def test_ascent_has_unit_norm_and_raises_a_linear_loss(norm: str) -> None:
    threat, gradient = ThreatModel(norm, 1), torch.randn(5, 2, 4, 3)
    direction = threat.ascent(gradient)
    torch.testing.assert_close(
        threat.distance(direction, torch.zeros_like(direction)), torch.ones(5)
    )
    dual = {"linf": 1.0, "l2": 2.0, "l1": math.inf}[norm]
    risen = (direction * gradient).flatten(1).sum(1)
    torch.testing.assert_close(risen, gradient.flatten(1).norm(p=dual, dim=1))


@pytest.mark.parametrize("norm", NORMS)
def test_ascent_of_no_gradient_is_no_step(norm: str) -> None:
    gradient = torch.zeros(2, 1, 3, 3)
    assert torch.equal(ThreatModel(norm, 1).ascent(gradient), gradient)


def test_l1_ascent_passes_over_pixels_at_their_bound() -> None:
    gradient = torch.tensor([3.0, -2.0, 1.0]).view(1, 1, 1, 3)
    x = torch.tensor([1.0, 0.0, 0.5]).view(1, 1, 1, 3)
    direction = ThreatModel("l1", 1).ascent(gradient, x)
    assert direction.flatten().tolist() == [0, 0, 1]


def test_l1_ascent_moves_one_pixel_in_a_hundred() -> None:
    direction = ThreatModel("l1", 1).ascent(torch.randn(2, 3, 10, 10))
    assert (direction != 0).flatten(1).sum(1).tolist() == [3, 3]


@pytest.mark.parametrize(("norm", "distance"), [("linf", 0.4), ("l2", 0.5), ("l1", 0.7)])
def test_distance_is_the_norm(norm: str, distance: float) -> None:
    x = torch.zeros(1, 1, 1, 2)
    x_adv = torch.tensor([0.3, -0.4]).view_as(x)
    torch.testing.assert_close(ThreatModel(norm, 1).distance(x_adv, x), torch.tensor([distance]))


@pytest.mark.parametrize("norm", NORMS)
def test_audit_refuses_what_lies_outside(norm: str) -> None:
    threat, x = ThreatModel(norm, 0.1), torch.full((2, 1, 2, 2), 0.5)
    far = x.clone()
    far[1, 0, 0, 0] += 0.1001
    with pytest.raises(OutsideThreatError, match=r"0\.100.* eps=0\.1"):
        threat.audit(far, x)
    with pytest.raises(OutsideThreatError, match=r"outside \[0.0, 1.0\]"):
        threat.audit(x + 0.6, x)
    with pytest.raises(OutsideThreatError):
        threat.audit(x * math.nan, x)


@pytest.mark.parametrize(
    ("text", "eps"), [("8/255", 8 / 255), ("0.3", 0.3), (" 8 / 255 ", 8 / 255), (0.25, 0.25)]
)
def test_eps_is_a_number_or_text(text: str | float, eps: float) -> None:
    assert ThreatModel(eps=text).eps == eps


@pytest.mark.parametrize("eps", [0, -0.1, math.nan, math.inf, "0", "8/0", "much", "-1/255", None])
def test_impossible_eps_is_refused(eps: float | str) -> None:
    with pytest.raises(ValueError, match=r"eps=.*8/255"):
        ThreatModel(eps=eps)


def test_eps_beyond_the_range_of_pixels_is_refused_for_linf_only() -> None:
    with pytest.raises(ValueError, match="eps=8 exceeds the range of pixels"):
        ThreatModel(eps=8)
    assert ThreatModel(eps=8, bounds=(0, 255)).eps == 8
    assert ThreatModel("l1", eps=12).at(20).eps == 20


def test_unknown_norm_and_impossible_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="norm='l3' is unknown; allowed are linf, l2, l1"):
        ThreatModel("l3")
    for bounds in ((1, 0), (0, 0), (0, math.inf), (0, 1, 2)):
        with pytest.raises(ValueError, match="bounds="):
            ThreatModel(bounds=bounds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("x", "cure"),
    [
        (torch.zeros(1, 2, 2), "(batch, channels, height, width)"),
        (torch.zeros(1, 1, 2, 2, dtype=torch.uint8), "x.float() / 255"),
        (torch.full((1, 1, 2, 2), 1.01), "normalisation the model's first layer"),
        (torch.full((1, 1, 2, 2), -0.01), "normalisation the model's first layer"),
        (torch.full((1, 1, 2, 2), math.nan), "nan"),
    ],
)
def test_images_that_cannot_be_attacked_are_refused_with_the_cure(x: Tensor, cure: str) -> None:
    with pytest.raises(ValueError, match=re.escape(cure)):
        ThreatModel().check_images(x)

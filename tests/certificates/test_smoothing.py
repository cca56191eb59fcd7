import math

import pytest
import torch
from scipy import stats  # type: ignore[import-untyped]
from torch import Tensor, nn

from advprune.certificates import ABSTAINED, certify_smoothed, predict_smoothed
from advprune.certificates.smoothing import lower_probability


class HalfSpace(nn.Module):
    """Class 1 where the first pixel is above 0.5: smoothing knows its radius in closed form."""

    def forward(self, x: Tensor) -> Tensor:
        first = x[:, 0, 0, :1] - 0.5
        return torch.cat([-first, first], dim=1)


def image(first: float) -> Tensor:
    return torch.tensor([first, 0.3, 0.3, 0.3]).view(1, 1, 2, 2)


def test_the_radius_of_a_half_space_is_its_distance_from_below() -> None:
    found = certify_smoothed(HalfSpace(), image(0.8), 0.25, samples=4000)
    assert found.answers.tolist() == [1]
    radius = float(found.radii[0])
    assert 0.25 < radius < 0.3  # the distance to the edge is 0.3


def test_the_lower_end_is_the_exact_one() -> None:
    assert lower_probability(0, 10, 0.05) == 0
    assert lower_probability(10, 10, 0.05) == pytest.approx(0.05**0.1)
    low = lower_probability(7, 10, 0.05)
    assert stats.binom.sf(6, 10, low) == pytest.approx(0.05)  # P(at least 7 hits) at the end


def test_the_largest_radius_is_bounded_by_the_samples() -> None:
    found = certify_smoothed(HalfSpace(), image(50.0), 0.25, samples=100, alpha=0.001)
    assert float(found.radii[0]) == pytest.approx(0.25 * stats.norm.ppf(0.001 ** (1 / 100)))


def test_at_the_edge_it_abstains() -> None:
    found = certify_smoothed(HalfSpace(), image(0.5), 0.25, samples=500)
    assert found.answers.tolist() == [ABSTAINED]
    assert found.radii.tolist() == [0.0]
    assert predict_smoothed(HalfSpace(), image(0.5), 0.25, samples=500).tolist() == [ABSTAINED]


def test_predictions_are_those_of_the_majority() -> None:
    x = torch.cat([image(0.8), image(0.1)])
    assert predict_smoothed(HalfSpace(), x, 0.1).tolist() == [1, 0]


def test_radii_fail_no_more_often_than_alpha_says() -> None:
    generator = torch.Generator().manual_seed(0)
    found = certify_smoothed(
        HalfSpace(), image(0.7).repeat(200, 1, 1, 1), 0.25, samples=200, alpha=0.1,
        generator=generator,
    )  # fmt: skip
    too_large = (found.radii > 0.2).float().mean().item()  # the distance to the edge is 0.2
    assert 0 < too_large < 0.1 + 3 * math.sqrt(0.09 / 200)


def test_the_generator_decides_and_the_global_state_stays() -> None:
    before = torch.get_rng_state()
    first, second = (certify_smoothed(HalfSpace(), image(0.6), 0.25, samples=50) for _ in range(2))
    assert torch.equal(first.radii, second.radii)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("sigma", "alpha"), [(0, 0.1), (-1.0, 0.1), (0.1, 0), (0.1, 1)])
def test_impossible_settings_are_refused(sigma: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="allowed are"):
        certify_smoothed(HalfSpace(), image(0.5), sigma, alpha=alpha)

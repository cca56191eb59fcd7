import pytest
import torch
from torch import nn

from advprune.evaluation import evaluate
from advprune.evaluation.smallest import median, smallest
from advprune.threat import ThreatModel


def test_the_nearest_of_several_attacks_counts_and_is_spread_by_hand() -> None:
    found = smallest("l2", 0.5, [(0.0, 1.0, None, 4.0), (0.0, 2.0, None, 3.0)])
    assert found.distances == (0.0, 1.0, None, 3.0)
    assert found.quantiles == {"0.1": 0.0, "0.25": 0.0, "0.5": 1.0, "0.75": 3.0, "0.9": None}
    assert found.curve == ((0.0, 0.75), (0.5, 0.75), (1.0, 0.5), (3.0, 0.25))
    assert [found.accuracy(eps) for eps in (0, 0.9, 1, 2.9, 9)] == [0.75, 0.75, 0.5, 0.5, 0.25]


def test_the_median_is_one_of_the_distances_or_none() -> None:
    assert median((3.0, 1.0, 2.0)) == 2.0
    assert median((None, 1.0, None)) is None


def test_many_distances_make_a_curve_of_quantiles() -> None:
    found = smallest("linf", 0.25, [[number / 1000 for number in range(1, 1001)]])
    assert len(found.curve) <= 42
    assert dict(found.curve)[0.25] == 0.75
    assert found.curve[-1] == (1.0, 0.0)
    accuracies = [accuracy for _, accuracy in found.curve]
    assert accuracies == sorted(accuracies, reverse=True)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_the_suite_tells_of_a_threshold_how_far_each_image_is(norm: str) -> None:
    """One pixel: all norms are its distance from the threshold."""
    linear = nn.Linear(1, 2)
    linear.load_state_dict(
        {"weight": torch.tensor([[-1.0], [1.0]]), "bias": torch.tensor([0.5, -0.5])}
    )
    model = nn.Sequential(nn.Flatten(), linear)
    x = torch.tensor([0.4, 0.45, 0.9, 0.1]).view(-1, 1, 1, 1)
    result = evaluate(
        model, (x, torch.tensor([0, 0, 1, 1])), ThreatModel(norm, 0.07), "minimum", batch_size=3
    )
    assert result.smallest is not None
    assert result.smallest.distances == pytest.approx((0.1, 0.05, 0.4, 0.0), rel=0.03)
    assert result.robust == result.smallest.accuracy(0.07) == 0.5
    assert result.to_dict()["smallest"]["quantiles"]["0.5"] == pytest.approx(0.05, rel=0.03)
    assert "smallest perturbations found" in str(result)
    assert "away in the median" in str(result)


def test_suites_that_stop_at_the_radius_tell_no_smallest() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    x = torch.rand(3, 1, 2, 2)
    data = (x, model(x).argmax(1))
    assert evaluate(model, data, ThreatModel("linf", 0.1), "paper").smallest is None

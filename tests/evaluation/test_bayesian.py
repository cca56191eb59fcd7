import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from advprune.evaluation import PosteriorMean, bayesian
from advprune.evaluation.bayesian import Beliefs, belief, calibration_error
from advprune.gates import BetaBernoulli, GatedModel
from advprune.models.gaussian import GaussianModel
from advprune.threat import ThreatModel

THREAT = ThreatModel("linf", 0.1)


def test_the_calibration_error_weighs_each_bins_gap_by_its_images() -> None:
    confidence = torch.tensor([0.9, 0.9, 0.9, 0.9, 0.6])
    right = torch.tensor([True, True, True, False, False])
    expected = 4 / 5 * (0.9 - 0.75) + 1 / 5 * 0.6
    assert calibration_error(confidence, right, bins=10) == pytest.approx(expected)


def test_in_one_bin_over_and_under_confidence_cancel() -> None:
    confidence, right = torch.tensor([0.52, 0.54]), torch.tensor([True, False])
    assert calibration_error(confidence, right, bins=2) == pytest.approx((0.52 + 0.54 - 1) / 2)
    assert calibration_error(torch.ones(3), torch.ones(3, dtype=torch.bool)) == 0


def test_a_bin_holds_its_upper_border() -> None:
    confidence, right = torch.tensor([0.5, 0.25]), torch.tensor([True, False])
    assert calibration_error(confidence, right, bins=2) == pytest.approx((0.5 - 0.25) / 2)
    assert calibration_error(confidence, right, bins=4) == pytest.approx((0.5 + 0.25) / 2)


def test_beliefs_of_known_probabilities() -> None:
    known = torch.tensor([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7]]).log()
    foreign = torch.tensor([[0.5, 0.5], [0.35, 0.65]]).log()
    found = belief(known, torch.tensor([0, 1, 1]), foreign)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.nll == pytest.approx(-math.log(0.8 * 0.4 * 0.7) / 3, abs=1e-6)
    assert found.foreign_auroc == pytest.approx(5 / 6)  # of six pairs, 0.6 against 0.65 is wrong
    # bins of a fifteenth: 0.8 alone, 0.6 alone, 0.7 alone
    assert found.calibration_error == pytest.approx((0.2 + 0.6 + 0.3) / 3, abs=1e-6)


class Coin(nn.Module):
    """Two logits, the second of them 0 or its weight by a fair coin, once a pass."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 2, bias=False)
        self.linear.weight.data.copy_(torch.tensor([[0.0], [1.0]]))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(x.flatten(1).mean(1, keepdim=True))
        return logits


def test_the_posterior_mean_averages_probabilities_over_draws() -> None:
    random = GaussianModel(Coin(), start=0.5).eval()  # σ = 0.97
    x = torch.ones(1, 1, 2, 2)
    found = PosteriorMean(random, 20_000)(x).exp().detach()
    difference = torch.randn(400_000) * math.sqrt(2) * 0.974 + 1  # of the two logits
    assert found.sum().item() == pytest.approx(1, abs=1e-5)
    assert found[0, 1].item() == pytest.approx(difference.sigmoid().mean().item(), abs=6e-3)
    assert found[0, 1] < torch.tensor(1.0).sigmoid() - 0.02  # that of the means
    assert not random.training
    torch.testing.assert_close(random(x), torch.tensor([[0.0, 1.0]]))


def test_without_randomness_the_two_predictors_are_one(chain: GatedModel, images: Tensor) -> None:
    found = _compared(chain, images)
    same = [
        (found["expected"]["clean"], found["posterior"]["clean"]),
        (found["expected"]["attacked"], found["posterior"]["transferred"]),
        (found["expected"]["transferred"], found["posterior"]["attacked"]),
    ]
    for one, other in same:
        assert one.accuracy == other.accuracy
        assert one.nll == pytest.approx(other.nll, abs=1e-5)
    assert found["expected"]["attacked"].nll > found["expected"]["clean"].nll


def test_a_second_call_takes_attacked_images_from_the_folder(
    learned_chain: GatedModel, images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for gate in learned_chain.gates.values():
        assert isinstance(gate, BetaBernoulli)
        gate.raw_a.data.fill_(2.0)
    first = _compared(learned_chain, images, folder=tmp_path)
    assert first == _compared(learned_chain, images)
    for name in ("PGD", "EOT"):
        monkeypatch.setattr(f"advprune.attacks.{name}.run", _never)
    assert _compared(learned_chain, images, folder=tmp_path) == first
    with pytest.raises(ValueError, match="another evaluation"):
        _compared(learned_chain, images, folder=tmp_path, seed=1)


def test_foreign_images_have_the_shape_of_the_others(chain: GatedModel, images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"foreign images have shape \(2, 1, 3, 3\)"):
        bayesian(chain, (images, torch.zeros(5).long()), THREAT, torch.zeros(2, 1, 3, 3))


def _never(*_: object, **__: object) -> None:
    raise AssertionError("an attack runs")


def _compared(
    gated: GatedModel, images: Tensor, seed: int = 0, folder: Path | None = None
) -> Beliefs:
    return bayesian(
        gated.eval(),
        (images, torch.tensor([0, 1, 2, 0, 1])),
        THREAT,
        images.flip(2),
        samples=4,
        attack_samples=2,
        steps=3,
        batch_size=2,
        seed=seed,
        folder=folder,
    )

from importlib import import_module

import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import PGD
from advprune.evaluation import curve
from advprune.evaluation.trial import Trial
from advprune.threat import ThreatModel


class Threshold(nn.Module):
    def __init__(self, steepness: float = 1.0) -> None:
        super().__init__()
        self.steepness = steepness

    def forward(self, x: Tensor) -> Tensor:
        score = torch.tanh(self.steepness * (x.flatten(1) - 0.5))
        return torch.cat([-score, score], dim=1)


DATA = (torch.tensor([0.01, 0.3, 0.7, 0.4]).view(-1, 1, 1, 1), torch.tensor([0, 0, 1, 1]))


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_accuracy_falls_from_clean_to_nothing(norm: str) -> None:
    found = curve(Threshold(), DATA, norm, ["1/10", 0.25, 0.5, 1])
    assert found.accuracies == {0.0: 0.75, 0.1: 0.75, 0.25: 0.25, 0.5: 0.0, 1.0: 0.0}
    assert found.warnings == ()


def test_accuracy_that_does_not_fall_where_every_image_can_change_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = torch.tensor([0.0] * 20 + [1.0] * 20).view(-1, 1, 1, 1)

    def pgd_alone(threat: ThreatModel) -> dict[str, Trial]:  # which masked gradients stop
        return {"pgd": Trial(PGD(threat, steps=5), alone=True)}

    monkeypatch.setattr(import_module("advprune.evaluation.curve"), "quick", pgd_alone)
    found = curve(Threshold(steepness=1e4), (x, (x > 0.5).long().flatten()), "linf")
    assert found.accuracies[0] == 1.0
    assert {finding.name for finding in found.warnings} == {
        "accuracy at eps 0.5",
        "accuracy at eps 1",
    }


def test_answers_that_change_at_radius_0_are_an_alarm() -> None:
    class Coin(Threshold):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 10 * torch.rand(len(x), 2)

    x = torch.full((200, 1, 1, 1), 0.4)
    found = curve(Coin(), (x, torch.zeros(200, dtype=torch.int64)), "linf", (0, 0.5))
    first = found.warnings[0]
    assert (first.name, first.level) == ("accuracy lost at eps 0", "alarm")
    assert first.figure > 0.1
    assert "repeats" in first.text
    assert set(found.accuracies) == {0.0, 0.5}

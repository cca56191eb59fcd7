import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.evaluation import check
from advprune.gates import gate
from advprune.structure import UnsupportedModelError
from advprune.structure.contract import answered, check_alone

IMAGES = torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))


class Counting(nn.Module):
    """Counts its calls and answers by the channels' means."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x.mean((2, 3))


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def features(self, x: Tensor) -> Tensor:
        return functional.relu(self.conv(x)).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.features(x))
        return logits


class CenteredInBatch(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0))


class NormalisedInBatch(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(self.conv, nn.BatchNorm2d(4, track_running_stats=False))  # type: ignore[assignment]


class Noisy(Classifier):
    def features(self, x: Tensor) -> Tensor:
        return functional.dropout(super().features(x))


class Squeezing(Classifier):
    """Forgets the batch where it is one image: a slip that only such a batch shows."""

    def features(self, x: Tensor) -> Tensor:
        return super().features(x).squeeze()


class OfEight(Classifier):
    def features(self, x: Tensor) -> Tensor:
        return functional.relu(self.conv(x)).view(8, 4, 2, 2).mean((2, 3))


def test_the_model_is_asked_in_eval_mode_and_left_as_it_is() -> None:
    model = nn.Sequential(nn.Dropout(), Counting())
    before = copy.deepcopy(model.state_dict())
    assert torch.equal(answered(model, IMAGES), IMAGES.mean((2, 3)))
    check_alone(model, IMAGES)
    assert model.training
    assert torch.equal(model.state_dict()["1.calls"], before["1.calls"])


@pytest.mark.parametrize("model", [CenteredInBatch(), NormalisedInBatch()])
def test_a_model_that_mixes_the_batch_is_refused(model: nn.Module) -> None:
    told = f"{type(model).__name__} mixes the examples of a batch"
    with pytest.raises(UnsupportedModelError, match=told):
        gate(model, IMAGES)
    found = check(model, torch.zeros(1, 3, 4, 4))  # images that are all alike do not hide it
    assert found.refused is not None
    assert told in found.refused


def test_a_model_that_answers_by_chance_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="answers the same images otherwise"):
        gate(Noisy(), IMAGES)


def test_a_model_that_needs_more_images_than_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"answers \(2,\) to 1 images"):
        gate(Squeezing(), IMAGES)


def test_what_does_not_run_is_told_with_the_line_that_fails() -> None:
    told = (
        r"OfEight does not run on a batch of 3, of images \(3, 4, 4\) \(File .*test_contract\.py\""
    )
    with pytest.raises(ValueError, match=told + r", line \d+, in features: return .*8"):
        gate(OfEight(), IMAGES)


def test_what_fails_in_torchs_own_layers_alone_has_no_line() -> None:
    with pytest.raises(ValueError, match=r"\(3, 4, 4\): .*to have 5 channels"):
        gate(nn.Sequential(nn.Conv2d(5, 2, 3), nn.Flatten()), IMAGES)

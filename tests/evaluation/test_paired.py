import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import FGSM
from advprune.evaluation import SUITES, evaluate, paired
from advprune.evaluation.trial import Trial
from advprune.threat import ThreatModel

X = torch.linspace(0, 1, 40).view(-1, 1, 1, 1)
Y = (X.flatten() > 0.5).long()


class Threshold(nn.Module):
    """Answers 1 where an image's only pixel is above the level."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(level))

    def forward(self, x: Tensor) -> Tensor:
        score = x.flatten(1) - self.level
        return torch.cat([-score, score], dim=1)


@pytest.fixture(autouse=True)
def one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of length eps is the optimum here."""
    monkeypatch.setitem(
        SUITES, "quick", lambda threat, *_: {"fgsm": Trial(FGSM(threat), alone=True)}
    )


def test_images_are_counted_where_the_models_differ() -> None:
    threat = ThreatModel("linf", 0.1)
    middle, low = (evaluate(Threshold(level), (X, Y), threat) for level in (0.5, 0.3))
    found = paired(middle, low)
    assert found.both == int((middle.survivors & low.survivors).sum())
    assert (found.only_first, found.only_second) == (8, 4)
    assert found.both + found.only_first + found.only_second + found.neither == 40
    assert found.p_value == pytest.approx(2 * 794 / 2**12)  # C(12, 0) + … + C(12, 4) = 794
    assert paired(low, low).p_value == 1


def test_written_results_are_compared_alike() -> None:
    threat = ThreatModel("linf", 0.1)
    middle, low = (evaluate(Threshold(level), (X, Y), threat) for level in (0.5, 0.3))
    found = paired(middle.to_dict(), low)
    assert found == paired(middle, low)
    assert "8 in the first alone, 4 in the second alone" in str(found)
    assert "p = 0.39" in str(found)
    with pytest.raises(ValueError, match="lacks examples, survivors"):
        paired(middle, {"data_hash": middle.data_hash})


def test_other_images_are_refused() -> None:
    threat = ThreatModel("linf", 0.1)
    whole, half = (evaluate(Threshold(0.5), (X, Y), threat, subset=subset) for subset in (None, 20))
    with pytest.raises(ValueError, match="different images"):
        paired(whole, half)

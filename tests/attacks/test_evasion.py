import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import PGD, Evasion
from advprune.threat import ThreatModel

THREAT = ThreatModel("linf", 0.1)
X, Y = torch.tensor([[0.55, 0.5], [0.55, 0.5], [0.9, 0.5]]).view(3, 1, 1, 2), torch.zeros(3).long()
MODEL = nn.Flatten()


def first_pixel_moved(model: nn.Module, x: Tensor) -> Tensor:
    """|Δ0|: the second pixel alone is enough to fool, and unseen."""
    moved: Tensor = model(x) - MODEL(X)
    return moved[:, 0].abs()


def test_what_fools_is_what_the_detector_sees_least() -> None:
    blind = PGD(THREAT, steps=40, stop_when_fooled=False)
    seen = first_pixel_moved(MODEL, blind(MODEL, X, Y))
    assert (seen[:2] > 0.09).all()
    result = Evasion(THREAT, first_pixel_moved, steps=100, blind=blind).run(MODEL, X, Y)
    assert result.fooled.tolist() == [True, True, False]
    assert (first_pixel_moved(MODEL, result.x_adv)[:2] < 0.02).all()
    assert torch.equal(result.fooled, MODEL(result.x_adv).argmax(1) != Y)


def test_knowing_a_detector_is_never_worse_than_not() -> None:
    def rugged(model: nn.Module, x: Tensor) -> Tensor:
        waves: Tensor = (40 * model(x)).sin()
        return waves.sum(1)

    blind = PGD(THREAT, steps=5, stop_when_fooled=False).run(MODEL, X, Y)
    found = Evasion(THREAT, rugged, steps=1, blind=PGD(THREAT, steps=5, stop_when_fooled=False))
    result = found.run(MODEL, X, Y)
    assert (result.fooled >= blind.fooled).all()
    assert (rugged(MODEL, result.x_adv) <= rugged(MODEL, blind.x_adv))[blind.fooled].all()


def test_an_image_may_be_moved_towards_a_class() -> None:
    target = torch.tensor([1, 0, 1])
    result = Evasion(THREAT, first_pixel_moved, steps=50).run(MODEL, X, Y, target=target)
    assert result.fooled.tolist() == [True, True, False]
    assert MODEL(result.x_adv).argmax(1).tolist() == [1, 0, 0]


def test_the_budget_names_the_detector_and_a_mean_is_refused() -> None:
    described = Evasion(THREAT, first_pixel_moved).describe()
    assert described["score"] == "first_pixel_moved"
    assert described["blind"] == PGD(THREAT, steps=40, stop_when_fooled=False).describe()
    attack = Evasion(THREAT, lambda model, x: first_pixel_moved(model, x).mean())
    with pytest.raises(ValueError, match=r"one number an image, \(3,\)"):
        attack.run(MODEL, X, Y)

import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import Distortion
from advprune.threat import ThreatModel

THREAT = ThreatModel("linf", 0.1)
X, Y = torch.full((3, 1, 1, 2), 0.5), torch.tensor([0, 1, 0])
MODEL = nn.Flatten()


def weighted(model: nn.Module, x_adv: Tensor, x: Tensor) -> Tensor:
    """|Δ0| + 3 |Δ1|, at most 0.4 within the threat, whatever is answered."""
    moved: Tensor = model(x_adv) - model(x)
    return moved.abs() @ torch.tensor([1.0, 3.0])


def test_it_reaches_the_largest_distortion() -> None:
    result = Distortion(THREAT, weighted, steps=10).run(MODEL, X, Y)
    torch.testing.assert_close(weighted(MODEL, result.x_adv, X), torch.full((3,), 0.4))


def test_the_best_iterate_is_kept_and_whether_it_fools_is_told_apart() -> None:
    def hill(model: nn.Module, x_adv: Tensor, x: Tensor) -> Tensor:
        moved: Tensor = model(x_adv - x)[:, 1]
        return 1 - (moved - 0.05).abs() * 10

    result = Distortion(THREAT, hill, steps=20, step_size=0.03, restarts=3).run(MODEL, X, Y)
    assert (hill(MODEL, result.x_adv, X) > 0.9).all()
    assert torch.equal(result.fooled, MODEL(result.x_adv).argmax(1) != Y)
    assert result.backward_passes == 3 * 20 * 3
    assert len(result.loss_per_step) == 20


def test_the_budget_names_the_distortion_and_a_mean_is_refused() -> None:
    assert Distortion(THREAT, weighted).describe()["loss"] == "weighted"
    attack = Distortion(THREAT, lambda model, x_adv, x: weighted(model, x_adv, x).mean())
    with pytest.raises(ValueError, match=r"one number an image, \(3,\)"):
        attack.run(MODEL, X, Y)

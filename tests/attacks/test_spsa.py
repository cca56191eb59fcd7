import math

import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import PGD, SPSA
from advprune.attacks.losses import margin
from advprune.attacks.row_noise import RowNoise
from advprune.attacks.victim import Victim
from advprune.threat import ThreatModel

THREAT = ThreatModel("linf", 0.1)
X, Y = torch.full((3, 1, 2, 3), 0.5), torch.tensor([0, 1, 0])


def linear(bias: float = 0.0) -> nn.Sequential:
    """Logits ±(w·x + bias) with weights 1, -2, 3, -4, 5, -6: the mean image stands at -1.5."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 2))
    weight = torch.tensor([1.0, -2, 3, -4, 5, -6])
    with torch.no_grad():
        model.get_parameter("1.weight").copy_(torch.stack([weight, -weight]))
        model.get_parameter("1.bias").copy_(torch.tensor([bias, -bias]))
    return model


class Stairs(nn.Module):
    """A linear model behind a rounding of which autograd sees only zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear(bias=2.0)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.inner((x * 100).round() / 100)
        return logits


def test_the_estimate_is_the_gradient_in_the_mean() -> None:
    victim = Victim(linear(), Y, False, margin, "float32")
    attack = SPSA(THREAT, directions=4000)
    estimate = attack._estimate(victim, X, torch.arange(3), RowNoise(3))
    slope = torch.tensor([-2.0, 4, -6, 8, -10, 12]).view(1, 2, 3)
    expected = torch.stack([slope, -slope, slope])
    torch.testing.assert_close(estimate, expected, atol=1.2, rtol=0)


def test_one_direction_projects_the_gradient_on_it() -> None:
    victim = Victim(linear(), Y[:1], False, margin, "float32")
    estimate = SPSA(THREAT, directions=1)._estimate(victim, X[:1], torch.arange(1), RowNoise(1))
    v = RowNoise(1).signs(torch.arange(1), 1, 6).view(6)
    slope = torch.tensor([-2.0, 4, -6, 8, -10, 12])
    torch.testing.assert_close(estimate.view(6), (slope @ v) * v, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
def test_it_reaches_the_optimum_of_a_linear_model(norm: str, dual: float) -> None:
    threat = ThreatModel(norm, 0.1)
    attack = SPSA(threat, steps=60, directions=32, stop_when_fooled=False)
    model = linear(bias=10.0)
    x_adv = attack(model, X, torch.zeros(3, dtype=torch.int64))
    gained = margin(model(x_adv), Y * 0) - margin(model(X), Y * 0)
    optimum = 2 * 0.1 * torch.tensor([1.0, 2, 3, 4, 5, 6]).norm(p=dual)
    assert bool((gained > 0.94 * optimum).all())
    assert bool((gained < optimum * 1.0001).all())


def test_it_climbs_where_gradients_are_zero() -> None:
    y = torch.zeros(3, dtype=torch.int64)
    assert not PGD(THREAT, steps=20).run(Stairs(), X, y).fooled.any()
    assert SPSA(THREAT, steps=40, directions=16).run(Stairs(), X, y).fooled.all()


def test_a_target_is_reached() -> None:
    target = torch.tensor([1, 0, 1])
    result = SPSA(THREAT, steps=30, directions=16).run(
        linear(bias=1.5), X, 1 - target, target=target
    )
    assert result.fooled.all()


def test_what_is_found_does_not_depend_on_the_batch() -> None:
    model = linear(bias=2.0)
    attack = SPSA(THREAT, steps=15, directions=8)
    y = torch.zeros(3, dtype=torch.int64)
    x = torch.stack([X[0], X[0] - 0.05, X[0] + 0.02])
    assert torch.equal(attack(model, x, y)[:2], attack(model, x[:2], y[:2]))


def test_queries_are_counted() -> None:
    attack = SPSA(THREAT, steps=5, directions=7, stop_when_fooled=False)
    result = attack.run(linear(bias=99.0), X, torch.zeros(3, dtype=torch.int64))
    assert (result.forward_passes, result.backward_passes) == (3 * (1 + 5 * (2 * 7 + 1)), 0)
    assert len(result.loss_per_step) == 5


def test_nobody_left_and_nobody_at_all() -> None:
    attack = SPSA(THREAT, steps=4, directions=2)
    wrong = attack.run(linear(bias=-9.0), X, torch.zeros(3, dtype=torch.int64))
    assert torch.equal(wrong.x_adv, X)
    assert wrong.forward_passes == 3
    assert attack(linear(), X[:0], Y[:0]).shape == (0, 1, 2, 3)


def test_the_budget_is_told_and_impossible_ones_are_refused() -> None:
    budget = SPSA(THREAT).describe()
    assert (budget["steps"], budget["directions"], budget["loss"]) == (100, 128, "margin")
    assert (budget["delta"], budget["rate"]) == (0.01, 0.01)
    with pytest.raises(ValueError, match="delta=0"):
        SPSA(THREAT, delta=0)
    with pytest.raises(ValueError, match="directions=0"):
        SPSA(THREAT, directions=0)
    with pytest.raises(ValueError, match="rate=-1"):
        SPSA(THREAT, rate=-1)
    assert math.isclose(SPSA(THREAT, rate="1/255").rate, 1 / 255)

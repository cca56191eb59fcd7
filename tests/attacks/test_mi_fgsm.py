import pytest
import torch
from torch import nn

from advprune.attacks import MIFGSM
from advprune.threat import NORMS, ThreatModel


def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3))


def uphill(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The gradient of the margin, (batch, pixels)."""
    weight = model.get_parameter("1.weight").detach()
    rival = model(x).scatter(1, y[:, None], -torch.inf).argmax(1)
    return weight[rival] - weight[y]


def test_it_ends_at_the_optimum_of_a_linear_model() -> None:
    model, x = linear(), torch.full((4, 1, 3, 4), 0.5)
    y = model(x).argmax(1)
    found = MIFGSM(ThreatModel("linf", 0.01), loss="margin").run(model, x, y)
    expected = x + 0.01 * uphill(model, x, y).sign().view_as(x)
    torch.testing.assert_close(found.x_adv, expected)
    assert (found.forward_passes, found.backward_passes) == (4 * (1 + 20), 4 * 10)


def test_in_l2_it_ends_where_the_gradient_points() -> None:
    model, x = linear(), torch.full((4, 1, 3, 4), 0.5)
    y = model(x).argmax(1)
    found = MIFGSM(ThreatModel("l2", 0.02), loss="margin").run(model, x, y)
    way = uphill(model, x, y)
    expected = x + 0.02 * (way / way.norm(dim=1, keepdim=True)).view_as(x)
    torch.testing.assert_close(found.x_adv, expected)


def test_momentum_carries_on_where_the_gradient_turns() -> None:
    class Ridge(nn.Module):
        """Class 1 gains until the pixel is 0.52, and loses beyond."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            score = -(x.flatten(1) - 0.52).abs() - 1
            return torch.cat([torch.zeros_like(score), score], dim=1)

    x, y = torch.full((1, 1, 1, 1), 0.5), torch.zeros(1, dtype=torch.int64)
    threat = ThreatModel("linf", 0.1)
    steps = [MIFGSM(threat, steps=4, decay=decay).run(Ridge(), x, y) for decay in (0.0, 1.0)]
    assert [round(one.x_adv.item(), 3) for one in steps] == [0.525, 0.525]
    still, carried = (one.loss_per_step for one in steps)
    torch.testing.assert_close(still[0], still[2])  # there and back
    assert carried[2] < carried[0]


@pytest.mark.parametrize("norm", NORMS)
def test_images_stay_in_ball_and_bounds(norm: str) -> None:
    threat, x = ThreatModel(norm, 0.4), torch.rand(5, 1, 3, 4).round(decimals=1)
    found = MIFGSM(threat, steps=3).run(linear(), x, torch.arange(5) % 3)
    threat.audit(found.x_adv, x)
    assert torch.equal(found.fooled, linear()(found.x_adv).argmax(1) != torch.arange(5) % 3)


def test_impossible_settings_are_refused() -> None:
    for setting in ({"steps": 0}, {"decay": 1.5}):
        with pytest.raises(ValueError, match=next(iter(setting))):
            MIFGSM(ThreatModel("linf", 0.1), **setting)

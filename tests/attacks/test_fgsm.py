import math

import pytest
import torch
from torch import nn

from advprune.attacks import FGSM
from advprune.threat import ThreatModel


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2), ("l1", math.inf)])
def test_one_step_is_the_optimum_of_a_linear_model(norm: str, dual: float) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    x, y = torch.full((4, 1, 3, 4), 0.5), torch.tensor([0, 1, 0, 1])
    threat = ThreatModel(norm, 0.2)
    result = FGSM(threat, loss="margin").run(model, x, y)
    weight = model.get_parameter("1.weight").detach()
    slope = (weight[1] - weight[0]).norm(p=dual)
    before, after = (model(images) @ torch.tensor([-1.0, 1.0]) for images in (x, result.x_adv))
    torch.testing.assert_close((after - before).abs(), (0.2 * slope).expand(4))
    assert torch.equal(result.fooled, model(result.x_adv).argmax(1) != y)


def test_budget_is_one_step_of_length_eps() -> None:
    assert FGSM(ThreatModel("linf", 0.3)).describe() == {
        "name": "FGSM",
        "norm": "linf",
        "eps": 0.3,
        "bounds": [0.0, 1.0],
        "loss": "cross_entropy",
        "precision": "float32",
        "steps": 1,
        "step_size": 0.3,
        "restarts": 1,
        "random_start": False,
        "stop_when_fooled": False,
        "keep": "last",
    }


def test_pass_counts_are_one_backward_and_two_forward() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    x, y = torch.rand(5, 1, 2, 2), torch.zeros(5, dtype=torch.int64)
    result = FGSM(ThreatModel("linf", 0.1)).run(model, x, y)
    assert (result.forward_passes, result.backward_passes) == (10, 5)

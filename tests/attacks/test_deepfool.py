import pytest
import torch
from torch import nn

from advprune.attacks import DeepFool
from advprune.threat import ThreatModel


def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3))


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1.0), ("l2", 2.0)])
def test_one_step_reaches_the_boundary_of_a_linear_model(norm: str, dual: float) -> None:
    model = linear()
    x = 0.4 + 0.2 * torch.rand(5, 1, 3, 4, generator=torch.Generator().manual_seed(0))
    logits = model(x).detach()
    y = logits.argmax(1)
    weight = model.get_parameter("1.weight").detach()
    slopes = (weight[None] - weight[y][:, None]).norm(p=dual, dim=2)
    away = (logits.gather(1, y[:, None]) - logits) / slopes
    expected = away.scatter(1, y[:, None], torch.inf).amin(1)
    threat = ThreatModel(norm, 0.5, bounds=(-9, 9))
    found = DeepFool(threat).run(model, x, y)
    assert found.distance is not None
    torch.testing.assert_close(found.distance, 1.02 * expected)
    assert torch.equal(found.fooled, found.distance <= 0.5)
    assert found.backward_passes == 5 * 3


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1.0), ("l2", 2.0)])
def test_a_target_is_reached_over_its_own_boundary(norm: str, dual: float) -> None:
    model = linear()
    with torch.no_grad():
        model.get_parameter("1.bias")[2] = -99
    x = 0.4 + 0.2 * torch.rand(5, 1, 3, 4, generator=torch.Generator().manual_seed(0))
    y, logits = model(x).argmax(1), model(x).detach()
    weight = model.get_parameter("1.weight").detach()
    expected = (logits[:, 0] - logits[:, 1]).abs() / (weight[0] - weight[1]).norm(p=dual)
    found = DeepFool(ThreatModel(norm, 9, bounds=(-9, 9))).run(model, x, y, target=1 - y)
    assert found.distance is not None
    torch.testing.assert_close(found.distance, 1.02 * expected)
    assert torch.equal(model(found.x_adv).argmax(1), 1 - y)
    far = torch.full_like(y, 2)
    assert not DeepFool(ThreatModel(norm, 1), steps=3).run(model, x, y, target=far).fooled.any()


def test_every_batch_tells_as_many_losses() -> None:
    model, x = linear(), torch.rand(3, 1, 3, 4)
    y = model(x).argmax(1)
    for classes in (y, (y + 1) % 3):
        told = DeepFool(ThreatModel("l2", 1), steps=7).run(model, x, classes).loss_per_step
        assert told.shape == (8,)


def test_a_wrong_image_is_left_alone_and_an_empty_batch_works() -> None:
    model, x = linear(), torch.rand(3, 1, 3, 4)
    y = (model(x).argmax(1) + 1) % 3
    found = DeepFool(ThreatModel("l2", 1)).run(model, x, y)
    assert torch.equal(found.x_adv, x)
    assert found.distance is not None
    assert found.distance.tolist() == [0, 0, 0]


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="DeepFool knows linf, l2"):
        DeepFool(ThreatModel("l1", 1))
    for setting in ({"steps": 0}, {"overshoot": -1}):
        with pytest.raises(ValueError, match=next(iter(setting))):
            DeepFool(ThreatModel("l2", 1), **setting)

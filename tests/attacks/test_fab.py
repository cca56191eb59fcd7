import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advprune.attacks import FAB, TargetedFAB
from advprune.threat import NORMS, ThreatModel

DUALS = {"linf": 1.0, "l2": 2.0, "l1": math.inf}


def linear(pixels: int, classes: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 5)
    )


def batch() -> tuple[Tensor, Tensor]:
    """Images and classes, a few of which the network gets wrong."""
    x = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    y = network()(x).argmax(1)
    y[::5] = (y[::5] + 1) % 5
    return x, y


def closest(model: nn.Sequential, x: Tensor, y: Tensor, norm: str) -> Tensor:
    """Distance to the nearest boundary of a linear model, where the bounds are far."""
    weight, logits = model.get_parameter("1.weight").detach(), model(x).detach()
    gaps = logits.gather(1, y[:, None]) - logits
    slopes = (weight[None] - weight[y][:, None]).norm(p=DUALS[norm], dim=2)
    nearest: Tensor = (gaps / slopes).scatter(1, y[:, None], math.inf).amin(1)
    return nearest


@pytest.mark.parametrize("attack", [FAB, TargetedFAB])
@pytest.mark.parametrize("norm", NORMS)
def test_the_distance_of_a_linear_model_is_found(attack: type[FAB], norm: str) -> None:
    model = linear(12)
    x = 0.4 + 0.2 * torch.rand(6, 1, 3, 4, generator=torch.Generator().manual_seed(0))
    threat = ThreatModel(norm, 1.0, bounds=(-50, 50))
    y = model(x).argmax(1)
    found = attack(threat, steps=20).run(model, x, y)
    assert found.distance is not None
    expected = closest(model, x, y, norm)
    torch.testing.assert_close(found.distance, expected, rtol=1e-2, atol=0)
    assert torch.equal(found.fooled, found.distance <= threat.eps)


@settings(max_examples=15, deadline=None)
@given(
    norm=st.sampled_from(NORMS),
    eps=st.floats(0.01, 1.0),
    size=st.integers(0, 4),
    stop=st.booleans(),
)
def test_images_stay_in_ball_and_bounds(norm: str, eps: float, size: int, stop: bool) -> None:
    x = torch.rand(size, 2, 3, 5).round(decimals=1)
    threat, model, y = ThreatModel(norm, eps), linear(30, 4), torch.arange(size) % 4
    found = TargetedFAB(threat, steps=4, restarts=2, stop_when_fooled=stop).run(model, x, y)
    threat.audit(found.x_adv, x)
    assert torch.equal(found.fooled, model(found.x_adv).argmax(1) != y)


def test_what_lies_beyond_the_radius_is_told_but_does_not_fool() -> None:
    model, (x, y) = network(), batch()
    near, far = (FAB(ThreatModel("l2", eps), steps=15).run(model, x, y) for eps in (0.5, 9.0))
    assert near.distance is not None
    assert far.distance is not None
    torch.testing.assert_close(near.distance, far.distance)
    assert (far.distance[::5] == 0).all()
    assert far.fooled.all()
    assert 0.1 < near.fooled.float().mean() < 0.9
    assert torch.equal(near.x_adv[~near.fooled], x[~near.fooled])
    torch.testing.assert_close(far.distance, ThreatModel("l2", 9.0).distance(far.x_adv, x))


@pytest.mark.parametrize("attack", [FAB, TargetedFAB])
def test_an_example_is_attacked_alike_in_any_batch(attack: type[FAB]) -> None:
    (x, y), tried = batch(), attack(ThreatModel("linf", 0.05), steps=8, restarts=2)
    whole = tried.run(network(), x, y, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    parts = [
        tried.run(network(), x[rows], y[rows], generator=generator).distance
        for rows in (slice(1), slice(1, 9), slice(9, None))
    ]
    assert whole.distance is not None
    torch.testing.assert_close(
        whole.distance, torch.cat([part for part in parts if part is not None])
    )


def test_targets_reach_what_all_classes_together_reach() -> None:
    model, (x, y) = network(), batch()
    threat = ThreatModel("linf", 0.05)
    every, towards = (attack(threat, steps=20).run(model, x, y) for attack in (FAB, TargetedFAB))
    assert every.distance is not None
    assert towards.distance is not None
    torch.testing.assert_close(towards.distance, every.distance, rtol=0.05, atol=0)
    assert every.backward_passes == 5 * 16 * 20
    assert towards.backward_passes == 4 * 16 * 20


def test_images_that_fool_cost_no_more_passes_where_that_is_enough() -> None:
    model, (x, y) = network(), batch()
    threat = ThreatModel("linf", 0.05)
    whole, short = (
        TargetedFAB(threat, steps=10, stop_when_fooled=stop).run(model, x, y)
        for stop in (False, True)
    )
    assert torch.equal(short.fooled, whole.fooled)
    assert short.forward_passes < 0.8 * whole.forward_passes


def test_budgets_are_told_and_impossible_ones_refused() -> None:
    told = TargetedFAB(ThreatModel("l2", 0.5)).describe()
    assert json.loads(json.dumps(told)) == told
    assert (told["steps"], told["targets"], told["restarts"]) == (100, 9, 1)
    assert (told["alpha_max"], told["eta"], told["beta"]) == (0.1, 1.05, 0.9)
    for setting in ({"steps": 0}, {"alpha_max": 1.5}, {"eta": 0.5}, {"beta": -1}):
        with pytest.raises(ValueError, match=next(iter(setting))):
            FAB(ThreatModel("l2", 0.5), **setting)


@pytest.mark.parametrize("attack", [FAB, TargetedFAB])
@pytest.mark.parametrize("norm", NORMS)
def test_the_distance_to_a_target_of_a_linear_model_is_found(attack: type[FAB], norm: str) -> None:
    """With two other classes, of which one is never in the way, it is that to one hyperplane."""
    model = linear(12)
    with torch.no_grad():
        model.get_parameter("1.bias")[2] = -99
    x = 0.4 + 0.2 * torch.rand(6, 1, 3, 4, generator=torch.Generator().manual_seed(0))
    y = model(x).argmax(1)
    found = attack(ThreatModel(norm, 1.0, bounds=(-50, 50)), steps=20).run(
        model, x, y, target=1 - y
    )
    weight, logits = model.get_parameter("1.weight").detach(), model(x).detach()
    expected = (logits[:, 0] - logits[:, 1]).abs() / (weight[0] - weight[1]).norm(p=DUALS[norm])
    assert found.distance is not None
    torch.testing.assert_close(found.distance, expected, rtol=1e-2, atol=0)
    assert found.backward_passes == 6 * 20


def test_a_target_takes_no_nearer_class() -> None:
    model, (x, y) = network(), batch()
    target = (model(x).argmax(1) + 2) % 5
    found = FAB(ThreatModel("linf", 1.0), steps=30).run(model, x, y, target=target)
    assert found.fooled.float().mean() >= 0.8
    answers = model(found.x_adv).argmax(1)
    assert torch.equal(answers[found.fooled], target[found.fooled])

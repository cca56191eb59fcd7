import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advprune.attacks import APGD, TargetedAPGD
from advprune.attacks.ascent import MomentumClimb, SparseClimb
from advprune.threat import NORMS, ThreatModel

LINF = ThreatModel("linf", 0.1)
RADII = {"linf": 0.1, "l2": 0.7, "l1": 3.0}


def linear(pixels: int, classes: int = 2) -> nn.Sequential:
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


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2), ("l1", math.inf)])
def test_it_reaches_the_optimum_of_a_linear_model(norm: str, dual: float) -> None:
    model, x = linear(12), torch.full((4, 1, 3, 4), 0.5)
    y = model(x).argmax(1)
    x_adv = APGD(ThreatModel(norm, 0.01), steps=60, loss="margin")(model, x, y)
    weight = model.get_parameter("1.weight").detach()
    before, after = (model(images) @ torch.tensor([-1.0, 1.0]) for images in (x, x_adv))
    steepest = (weight[1] - weight[0]).norm(p=dual)
    torch.testing.assert_close(
        (after - before).abs(), (0.01 * steepest).expand(4), rtol=0.05, atol=0
    )


@settings(max_examples=15, deadline=None)
@given(
    norm=st.sampled_from(NORMS),
    eps=st.floats(0.001, 1.0),
    size=st.integers(0, 4),
    steps=st.integers(1, 12),
    targeted=st.booleans(),
)
def test_images_stay_in_ball_and_bounds(
    norm: str, eps: float, size: int, steps: int, targeted: bool
) -> None:
    x = torch.rand(size, 2, 3, 5).round(decimals=1)
    threat = ThreatModel(norm, eps)
    attack = (TargetedAPGD if targeted else APGD)(threat, steps=steps, restarts=2)
    found = attack.run(linear(30, 4), x, torch.arange(size) % 4)
    threat.audit(found.x_adv, x)
    assert found.x_adv.shape == x.shape
    assert found.loss_per_step.shape == (steps,)


@pytest.mark.parametrize("attack", [APGD, TargetedAPGD])
@pytest.mark.parametrize("norm", NORMS)
def test_an_example_is_attacked_alike_in_any_batch(attack: type[APGD], norm: str) -> None:
    (x, y), tried = batch(), attack(ThreatModel(norm, RADII[norm]), steps=12, restarts=2)
    whole = tried.run(network(), x, y, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    parts = [
        tried.run(network(), x[rows], y[rows], generator=generator)
        for rows in (slice(1), slice(1, 9), slice(9, None))
    ]
    assert 4 < whole.fooled.sum() < 20
    assert torch.equal(whole.fooled, torch.cat([part.fooled for part in parts]))
    assert torch.equal(whole.fooled, network()(whole.x_adv).argmax(1) != y)


def test_images_that_fool_cost_no_more_passes() -> None:
    model, (x, y) = network(), batch()
    asked = []
    model.register_forward_hook(lambda _, inputs, __: asked.append(len(inputs[0])))
    found = APGD(ThreatModel("linf", 0.05), steps=10).run(model, x, y)
    assert found.forward_passes == sum(asked)
    assert asked[:2] == [20, 16]
    assert asked == sorted(asked, reverse=True)
    assert found.backward_passes == sum(asked[1:]) - asked[-1]


def test_targets_are_tried_until_one_fools() -> None:
    model, (x, y) = network(), batch()
    one, four = (TargetedAPGD(LINF, steps=15, targets=count).run(model, x, y) for count in (1, 4))
    assert (four.fooled | ~one.fooled).all()
    assert one.backward_passes < four.backward_passes <= 4 * one.backward_passes


@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes_are_attacked_by_another_loss_and_that_is_said(classes: int) -> None:
    model = linear(30, classes)
    x = torch.rand(6, 1, 5, 6, generator=torch.Generator().manual_seed(0))
    found = TargetedAPGD(LINF, steps=5).run(model, x, model(x).argmax(1))
    assert found.fooled.any()
    assert found.notes == (f"the loss is lead: dlr_towards needs 4 classes, there are {classes}",)


def test_a_target_is_for_the_untargeted_one() -> None:
    model, (x, y) = network(), batch()
    target = (y + 1) % 5
    found = APGD(ThreatModel("linf", 0.3), steps=20).run(model, x, y, target=target)
    assert torch.equal(found.fooled, model(found.x_adv).argmax(1) == target)
    assert found.fooled.float().mean() > 0.5
    with pytest.raises(ValueError, match="allowed are attacks with a loss"):
        TargetedAPGD(LINF).run(model, x, y, target=target)


def test_checkpoints_are_as_published() -> None:
    assert list(MomentumClimb._checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert list(SparseClimb._checkpoints(40)) == list(range(1, 40))
    assert list(SparseClimb._checkpoints(100))[:3] == [4, 8, 12]


def test_a_step_that_does_not_help_is_halved_from_the_best_iterate() -> None:
    x = torch.full((2, 1, 1, 1), 0.5)
    climb = MomentumClimb(LINF, 10, 0.75, torch.arange(2), x, x)
    for step, losses in enumerate(([0.0, 0.0], [1.0, -1.0], [2.0, -2.0])):
        climb.note(torch.ones_like(x), torch.tensor(losses))
        if step < 2:
            climb.advance(step)
    climb.advance(2)  # the first checkpoint of ten steps
    assert climb.size.tolist() == pytest.approx([0.2, 0.1])
    assert climb.current.flatten().tolist() == pytest.approx(
        [0.6, 0.75 * 0.6 + 0.5 * 0.5 - 0.25 * 0.6]
    )
    assert climb.previous.flatten().tolist() == pytest.approx([0.6, 0.5])


def test_budgets_are_told_and_impossible_ones_refused() -> None:
    told = TargetedAPGD(LINF).describe()
    assert json.loads(json.dumps(told)) == told
    assert (told["loss"], told["steps"], told["targets"], told["restarts"]) == (
        "dlr_towards", 100, 9, 1,
    )  # fmt: skip
    assert told["radii"] == [1]
    assert APGD(ThreatModel("l1", 1)).describe()["radii"] == [3, 2, 1]
    for setting in ({"steps": 0}, {"restarts": 0}, {"rho": 2}):
        with pytest.raises(ValueError, match=next(iter(setting))):
            APGD(LINF, **setting)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="targets"):
        TargetedAPGD(LINF, targets=0)

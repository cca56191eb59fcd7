import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advprune.attacks import Square
from advprune.threat import NORMS, ThreatModel


def linear(pixels: int, classes: int = 2) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 4)
    )


def batch() -> tuple[Tensor, Tensor]:
    """Images and classes, a few of which the network gets wrong."""
    x = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    y = network()(x).argmax(1)
    y[::5] = (y[::5] + 1) % 4
    return x, y


def test_linf_search_ends_at_the_optimum_of_a_linear_model() -> None:
    model, x = linear(6).double(), torch.full((3, 1, 2, 3), 0.5, dtype=torch.float64)
    y = model(x).argmax(1)
    found = Square(ThreatModel("linf", 0.01), queries=300).run(model, x, y)
    assert not found.fooled.any()
    weight = model.get_parameter("1.weight").detach()
    towards = (weight[1 - y] - weight[y]).sign().view_as(x)
    torch.testing.assert_close(found.x_adv, x + 0.01 * towards)


@pytest.mark.parametrize(("norm", "dual", "share"), [("l2", 2, 0.4), ("l1", torch.inf, 0.5)])
def test_l2_and_l1_search_comes_near_the_optimum(norm: str, dual: float, share: float) -> None:
    model, x = linear(81), torch.full((4, 1, 9, 9), 0.5)
    y = model(x).argmax(1)
    x_adv = Square(ThreatModel(norm, 1e-3), queries=300)(model, x, y)
    weight = model.get_parameter("1.weight").detach()
    before, after = (model(images) @ torch.tensor([-1.0, 1.0]) for images in (x, x_adv))
    reached = (after - before).abs() / (1e-3 * (weight[1] - weight[0]).norm(p=dual))
    assert (reached <= 1.01).all()
    assert (reached > share).all()


@settings(max_examples=15, deadline=None)
@given(
    norm=st.sampled_from(NORMS),
    eps=st.floats(0.001, 1.0),
    shape=st.tuples(
        *(st.integers(least, most) for least, most in [(0, 3), (1, 3), (1, 9), (1, 9)])
    ),
)
def test_images_of_any_shape_stay_in_ball_and_bounds(
    norm: str, eps: float, shape: tuple[int, ...]
) -> None:
    x = torch.rand(shape).round(decimals=1)
    threat = ThreatModel(norm, eps)
    model = linear(math.prod(shape[1:]), 3)
    x_adv = Square(threat, queries=4, restarts=2)(model, x, torch.arange(len(x)) % 3)
    assert x_adv.shape == x.shape
    threat.audit(x_adv, x)


@pytest.mark.parametrize("norm", NORMS)
def test_an_examples_noise_is_the_same_in_any_batch(norm: str) -> None:
    (x, y), threat = batch(), ThreatModel(norm, {"linf": 0.1, "l2": 0.8, "l1": 3.0}[norm])
    attack = Square(threat, queries=40, restarts=2)
    whole = attack.run(network(), x, y, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    parts = [
        attack.run(network(), x[rows], y[rows], generator=generator)
        for rows in (slice(1), slice(1, 9), slice(9, None))
    ]
    assert 3 < whole.fooled.sum() < 16
    torch.testing.assert_close(whole.x_adv, torch.cat([part.x_adv for part in parts]))
    assert torch.equal(whole.fooled, torch.cat([part.fooled for part in parts]))


def test_any_function_of_images_to_logits_can_be_attacked() -> None:
    weight = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)

    def function(x: Tensor) -> Tensor:
        return torch.from_numpy(x.numpy().reshape(len(x), -1) @ weight)

    x = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    y = function(x).argmax(1)
    found = Square(ThreatModel("linf", 0.2), queries=100).run(function, x, y)
    assert found.fooled.float().mean() > 0.5
    assert torch.equal(found.fooled, function(found.x_adv).argmax(1) != y)
    assert found.backward_passes == 0


def test_each_image_is_asked_about_until_it_fools() -> None:
    model, (x, y) = network(), batch()
    asked = []
    model.register_forward_hook(lambda _, inputs, __: asked.append(len(inputs[0])))
    found = Square(ThreatModel("l2", 0.5), queries=30).run(model, x, y)
    assert found.forward_passes == sum(asked)
    assert len(asked) == 1 + 30
    assert asked == sorted(asked, reverse=True)
    assert asked[1] == 12  # four were wrong from the start
    assert 12 > asked[-1] >= (~found.fooled).sum()
    assert found.loss_per_step.shape == (30,)
    assert (found.loss_per_step.diff() >= 0).all()


def test_a_square_that_stands_there_already_is_not_asked_about() -> None:
    model, x = linear(1), torch.tensor([[[[0.5]]]])
    y, asked = model(x).argmax(1), []
    model.register_forward_hook(lambda _, inputs, __: asked.append(inputs[0].item()))
    found = Square(ThreatModel("linf", 1e-4), queries=200).run(model, x, y)
    assert not found.fooled
    assert 70 < len(asked) < 130  # half of the signs stand there
    assert found.x_adv.item() not in asked[3:]


def test_an_image_that_is_wrong_already_comes_back_unchanged() -> None:
    model, (x, y) = network(), batch()
    found = Square(ThreatModel("linf", 0.1), queries=3).run(model, x, y)
    assert torch.equal(found.x_adv[::5], x[::5])
    everywhere = Square(ThreatModel("linf", 0.1), queries=3).run(
        model, x, (model(x).argmax(1) + 1) % 4
    )
    assert torch.equal(everywhere.x_adv, x)
    assert everywhere.forward_passes == 16


def test_a_target_is_searched_for() -> None:
    model, (x, y) = network(), batch()
    target = (y + 1) % 4
    found = Square(ThreatModel("linf", 0.5), queries=200).run(model, x, y, target=target)
    assert torch.equal(found.fooled, model(found.x_adv).argmax(1) == target)
    assert found.fooled.float().mean() > 0.3


def test_squares_shrink_as_published() -> None:
    attack = Square(ThreatModel("linf", 0.1))
    queries = [0, 10, 11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001, 20000]
    halvings = [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
    assert [attack.share(query) for query in queries] == [0.8 / 2**count for count in halvings]


def test_the_budget_is_told_and_impossible_ones_are_refused() -> None:
    told = Square(ThreatModel("l2", 0.5)).describe()
    assert json.loads(json.dumps(told)) == told
    assert (told["queries"], told["restarts"], told["p_init"]) == (5000, 1, 0.8)
    for setting in ({"queries": 0}, {"restarts": 0}, {"p_init": 0.0}, {"p_init": 1.5}):
        with pytest.raises(ValueError, match=next(iter(setting))):
            Square(ThreatModel("linf", 0.1), **setting)

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advprune.attacks import PGD
from advprune.threat import NORMS, ThreatModel

LINF = ThreatModel("linf", 0.1)
Counting = Callable[[nn.Module], Any]


def linear(pixels: int, classes: int = 2) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes))


def slope(model: nn.Sequential) -> Tensor:
    """Gradient of the second logit less the first."""
    weight = model.get_parameter("1.weight").detach()
    return weight[1] - weight[0]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 4)
    )


def batch(size: int = 24) -> tuple[Tensor, Tensor]:
    """Images and classes, a few of which the network gets wrong."""
    x = torch.rand(size, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    y = network()(x).argmax(1)
    y[::5] = (y[::5] + 1) % 4
    return x, y


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2), ("l1", math.inf)])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_pgd_reaches_the_optimum_of_a_linear_model(norm: str, dual: float, keep: str) -> None:
    model, x, y = linear(12), torch.full((4, 1, 3, 4), 0.5), torch.tensor([0, 1, 0, 1])
    threat = ThreatModel(norm, 0.2)
    attack = PGD(threat, steps=60, step_size=0.1, stop_when_fooled=False, keep=keep)
    x_adv = attack(model, x, y)
    steepest = slope(model).norm(p=dual)
    before, after = (model(images) @ torch.tensor([-1.0, 1.0]) for images in (x, x_adv))
    torch.testing.assert_close(
        (after - before).abs(), (0.2 * steepest).expand(4), rtol=1e-4, atol=0
    )


@settings(max_examples=25, deadline=None)
@given(
    norm=st.sampled_from(NORMS),
    eps=st.floats(0.001, 1.0),
    size=st.integers(0, 5),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    stop=st.booleans(),
)
def test_pgd_stays_in_ball_and_bounds(
    norm: str, eps: float, size: int, height: int, width: int, stop: bool
) -> None:
    x = torch.rand(size, 2, height, width).round(decimals=1)
    y = torch.arange(size) % 3
    threat = ThreatModel(norm, eps)
    attack = PGD(threat, steps=4, step_size=eps, restarts=2, stop_when_fooled=stop)
    x_adv = attack(linear(2 * height * width, 3), x, y)
    assert x_adv.shape == x.shape
    threat.audit(x_adv, x)


def test_the_attack_breaks_what_noise_does_not() -> None:
    model, (x, y) = network(), batch()
    fooled = PGD(LINF, steps=10).run(model, x, y).fooled
    noisy = model(LINF.random_start(x)).argmax(1) != y
    assert fooled.float().mean() > 0.5 > 2 * noisy.float().mean()


@pytest.mark.parametrize("stop", [False, True])
@pytest.mark.parametrize("size", [1, 24])
def test_fooled_says_what_the_model_answers(stop: bool, size: int) -> None:
    model, (x, y) = network(), batch(size)
    result = PGD(LINF, steps=5, restarts=2, stop_when_fooled=stop).run(model, x, y)
    assert torch.equal(result.fooled, model(result.x_adv).argmax(1) != y)


def test_an_example_wrong_from_the_start_comes_back_unchanged() -> None:
    model, (x, y) = network(), batch()
    result = PGD(LINF, steps=5).run(model, x, y)
    wrong = model(x).argmax(1) != y
    assert wrong.any()
    assert not wrong.all()
    assert torch.equal(result.x_adv[wrong], x[wrong])
    assert not torch.equal(result.x_adv[~wrong], x[~wrong])


@pytest.mark.parametrize("restarts", [1, 3])
def test_nothing_is_attacked_when_all_are_wrong_already(restarts: int) -> None:
    model, (x, _) = network(), batch()
    y = (model(x).argmax(1) + 1) % 4
    result = PGD(LINF, steps=5, restarts=restarts).run(model, x, y)
    assert torch.equal(result.x_adv, x)
    assert result.fooled.all()
    assert (result.forward_passes, result.backward_passes) == (24, 0)
    assert result.loss_per_step.shape == (5,)


def test_the_best_iterate_is_kept() -> None:
    model, (x, y) = network(), batch()
    # steps far too long throw the last iterate about
    losses = {}
    for keep in ("best", "last"):
        attack = PGD(LINF, steps=7, step_size=0.15, stop_when_fooled=False, keep=keep)
        losses[keep] = nn.functional.cross_entropy(model(attack(model, x, y)), y, reduction="none")
    assert (losses["best"] >= losses["last"] - 1e-6).all()
    assert (losses["best"] > losses["last"] + 1e-3).any()


def test_one_that_fools_beats_one_of_higher_loss() -> None:
    def misleading(logits: Tensor, labels: Tensor) -> Tensor:
        return -nn.functional.cross_entropy(logits, labels, reduction="none")

    model, (x, y) = network(), batch()
    wrong = model(x).argmax(1) != y
    attack = PGD(LINF, steps=3, loss=misleading, random_start=False, stop_when_fooled=False)
    assert attack.run(model, x, y).fooled[wrong].all()


def test_more_steps_never_lower_the_loss() -> None:
    model, (x, y) = network(), batch()
    losses = []
    for steps in (3, 6):
        attack = PGD(LINF, steps=steps, step_size=0.05, stop_when_fooled=False, random_start=False)
        result = attack.run(model, x, y)
        losses.append(nn.functional.cross_entropy(model(result.x_adv), y, reduction="none"))
    assert (losses[0] <= losses[1] + 1e-6).all()
    assert result.loss_per_step.shape == (6,)
    assert result.loss_per_step[0] < result.loss_per_step[-1]


def test_loss_per_step_is_that_of_the_iterates_before_each_step() -> None:
    model, (x, y) = network(), batch()
    attack = PGD(LINF, steps=2, random_start=False, stop_when_fooled=False)
    first = attack.run(model, x, y).loss_per_step[0]
    torch.testing.assert_close(first, nn.functional.cross_entropy(model(x), y).detach())


@pytest.mark.parametrize("stop", [False, True])
def test_an_example_meets_the_same_attack_whatever_the_batch(stop: bool) -> None:
    model, (x, y) = network().double(), batch()
    x = x.double()
    attack = PGD(ThreatModel("linf", 0.03), steps=4, restarts=3, stop_when_fooled=stop)
    together = attack(model, x, y, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    apart = [
        attack(model, x[part], y[part], generator=generator)
        for part in (slice(0, 1), slice(1, 8), slice(8, None))
    ]
    torch.testing.assert_close(together, torch.cat(apart))


def test_targets_are_reached_and_counted() -> None:
    model, (x, _) = linear(64, 4), batch()
    y = model(x).argmax(1)
    target = (y + 1) % 4
    threat = ThreatModel("linf", 0.3)
    for loss in ("cross_entropy", "margin"):
        result = PGD(threat, steps=20, loss=loss).run(model, x, y, target=target)
        assert torch.equal(result.fooled, model(result.x_adv).argmax(1) == target)
        assert result.fooled.float().mean() > 0.8


@pytest.mark.parametrize(
    "attack",
    [
        PGD(LINF, steps=5, restarts=2),
        PGD(LINF, steps=5, restarts=2, stop_when_fooled=False),
        PGD(LINF, steps=5, stop_when_fooled=False, keep="last"),
        PGD(LINF, steps=5, restarts=2, precision="bfloat16"),
    ],
    ids=["evaluation", "all stay", "training", "bfloat16"],
)
def test_reported_passes_are_those_that_happened(attack: PGD, counting: Counting) -> None:
    model, (x, y) = network(), batch()
    counts = counting(model)
    result = attack.run(model, x, y)
    assert (result.forward_passes, result.backward_passes) == (counts.forward, counts.backward)


def test_training_takes_one_pass_a_step_and_no_more(counting: Counting) -> None:
    model, (x, y) = network(), batch()
    counts = counting(model)
    PGD(LINF, steps=7, stop_when_fooled=False, keep="last")(model, x, y)
    assert (counts.forward, counts.backward) == (7 * 24, 7 * 24)


def test_only_survivors_are_attacked_again() -> None:
    model, (x, y) = network(), batch()
    once = PGD(LINF, steps=5).run(model, x, y)
    again = PGD(LINF, steps=5, restarts=10).run(model, x, y)
    survivors = int((~once.fooled).sum())
    assert again.backward_passes <= once.backward_passes + 9 * 5 * (survivors + 2)


def test_what_bfloat16_finds_is_confirmed_in_float32() -> None:
    class Imprecise(nn.Module):
        """Answers class 1, wrongly, whenever autocast is on."""

        def forward(self, x: Tensor) -> Tensor:
            bent = torch.is_autocast_enabled(x.device.type)
            return torch.stack([x.sum((1, 2, 3)), x.sum((1, 2, 3)) + (1 if bent else -100)], 1)

    x, y = torch.rand(3, 1, 2, 2), torch.zeros(3, dtype=torch.int64)
    result = PGD(LINF, steps=3, precision="bfloat16").run(Imprecise(), x, y)
    assert not result.fooled.any()


def test_bfloat16_finds_about_what_float32_finds() -> None:
    model, (x, y) = network(), batch()
    results = [
        PGD(LINF, steps=10, precision=precision).run(model, x, y)
        for precision in ("float32", "bfloat16")
    ]
    assert all(torch.equal(r.fooled, model(r.x_adv).argmax(1) != y) for r in results)
    assert all(r.x_adv.dtype == torch.float32 for r in results)
    assert abs(int(results[0].fooled.sum()) - int(results[1].fooled.sum())) <= 1


def test_a_loss_may_be_a_function_of_ones_own() -> None:
    model, (x, y) = network(), batch()
    clean = model(x).log_softmax(1).detach()

    def divergence(logits: Tensor, _: Tensor) -> Tensor:
        return nn.functional.kl_div(
            logits.log_softmax(1), clean, log_target=True, reduction="none"
        ).sum(1)

    attack = PGD(LINF, steps=5, loss=divergence, stop_when_fooled=False)
    result = attack.run(model, x, y)
    assert attack.describe()["loss"] == "divergence"
    assert result.loss_per_step[-1] > 2 * result.loss_per_step[0]


def test_description_is_the_exact_budget_and_fits_json() -> None:
    budget = PGD(ThreatModel("linf", "8/255"), steps=20, restarts=3).describe()
    assert json.loads(json.dumps(budget)) == {
        "name": "PGD",
        "norm": "linf",
        "eps": 8 / 255,
        "bounds": [0.0, 1.0],
        "loss": "cross_entropy",
        "precision": "float32",
        "steps": 20,
        "step_size": 2.5 * 8 / 255 / 20,
        "restarts": 3,
        "random_start": True,
        "stop_when_fooled": True,
        "keep": "best",
    }


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"steps": 0}, "steps=0"),
        ({"steps": 2.5}, "steps=2.5"),
        ({"restarts": -1}, "restarts=-1"),
        ({"step_size": "wide"}, "step_size='wide'"),
        ({"step_size": -0.1}, "step_size=-0.1"),
        ({"step_size": math.nan}, "step_size=nan"),
        ({"loss": "hinge"}, "loss='hinge'"),
        ({"precision": "float16"}, "precision='float16'; allowed are float32, bfloat16"),
        ({"keep": "first"}, "keep='first'; allowed are best, last"),
        ({"keep": "last", "stop_when_fooled": False, "restarts": 2}, "restarts=2"),
        ({"keep": "last"}, "stop_when_fooled=True"),
    ],
)
def test_impossible_settings_are_refused(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PGD(LINF, **setting)  # type: ignore[arg-type]

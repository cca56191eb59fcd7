"""Training on bounds: schedules, validation, first weights, and the whole way on the digits."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from advprune import data, models, pruning
from advprune.threat import ThreatModel
from advprune.training import Trained, Training, phases, step, train
from advprune.training.state import Run

MakeSettings = Callable[..., Training]
MakeRun = Callable[[Training], Run]
GoTrain = Callable[..., Trained]
PHASE = {"objective": "certified", "epochs": 4, "eps_warmup_epochs": 3}


def test_radius_and_weights_move_together_during_the_warm_up(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    certificate = {"eps": 0.2, "clean_weight": [1, 0.4], "linear_share": [1, 0]}
    run = make_run(make_settings(PHASE | {"certificate": certificate}))
    state = phases.first(run)
    state.position.epoch, state.position.step = 1, run.steps_per_epoch // 2 - 1
    middle = step.certificate(run, state)
    assert middle.threat.eps == pytest.approx(0.1)
    assert (middle.clean_weight, middle.linear_share) == pytest.approx((0.7, 0.5))
    state.position.epoch = 3
    end = step.certificate(run, state)
    assert (end.threat.eps, end.clean_weight, end.linear_share) == pytest.approx((0.2, 0.4, 0))


def test_fresh_weights_are_narrow_and_follow_the_seed(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    settings = make_settings(PHASE | {"certificate": {"fresh": True}}, seed=3)
    first, again = (phases.first(make_run(settings)).model for _ in range(2))
    torch.testing.assert_close(first.state_dict(), again.state_dict())
    assert not bool(first.get_parameter("f1.bias").any())


def test_what_cannot_be_bounded_is_refused_before_training(
    make_run: MakeRun, make_settings: MakeSettings, small: nn.Module
) -> None:
    run = make_run(make_settings(PHASE | {"certificate": {"eps": 1.5}}))
    with pytest.raises(ValueError, match=r"eps=1\.5 exceeds the range of pixels"):
        phases.check(run)
    odd = nn.Sequential(small, nn.Tanh(), nn.Linear(2, 2))
    run = make_run(make_settings(PHASE))
    object.__setattr__(run, "model", odd)
    with pytest.raises(ValueError, match=r"cannot bound operator 'aten\.tanh"):
        phases.check(run)


def test_all_three_phases_may_train_on_bounds(go: GoTrain, make_settings: MakeSettings) -> None:
    pruning_ = {"on": "gated", "objective": "certified_pruning", "budget": {"macs": 0.7}}
    trained = go(make_settings(PHASE, pruning_, {"on": "slim", "objective": "certified"}))
    assert trained.gated is not None
    assert 0 <= trained.best <= 1


def test_digits_are_certified(tmp_path: Path) -> None:
    phase = {
        "name": "dense",
        "objective": "certified",
        "epochs": 5,
        "learning_rate": 1e-2,
        "eps_warmup_epochs": 2,
        "certificate": {"fresh": True},
    }
    settings = Training.model_validate(
        {"batch_size": 32, "threads": 1, "validation_attack_steps": 1, "phases": [phase]}
        | {"validation_every": 100}
    )
    trained = train(
        models.build("small_cnn", widths=[4, 8, 16]),
        data.load("digits", validation=200),
        ThreatModel("linf", 0.03),
        settings,
        out=tmp_path / "run",
        slim=pruning.slim,
    )
    assert trained.best > 0.4  # certified, of the validation images; a tenth by chance
    heading, *_, last = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    row = dict(zip(heading.split(","), last.split(","), strict=True))
    assert float(row["validation_certified"]) == trained.last
    assert float(row["validation_certified"]) <= float(row["validation_robust"])


def test_noise_is_for_objectives_without_attacks_and_bounds(make_settings: MakeSettings) -> None:
    with pytest.raises(ValueError, match="objective 'certified' does not take"):
        make_settings(PHASE, noise=0.25)
    assert make_settings({"objective": "standard"}, noise=0.25).noise == 0.25


def test_training_on_noise_sees_other_images(go: GoTrain, make_settings: MakeSettings) -> None:
    plain, noisy = (
        go(make_settings({"objective": "standard"}, noise=sigma), f"run-{sigma}").model
        for sigma in (0.0, 0.5)
    )
    assert not torch.equal(plain.get_parameter("f1.weight"), noisy.get_parameter("f1.weight"))

import csv
import errno
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from advprune import pruning
from advprune.data import Splits
from advprune.gates import GatedModel
from advprune.threat import ThreatModel
from advprune.training import (
    Interrupted,
    Trained,
    Training,
    checkpoint,
    host,
    snapshot,
    step,
    train,
    validation,
)

MakeSettings = Callable[..., Training]
Go = Callable[..., Trained]

DENSE = {"epochs": 2, "learning_rate": 0.02}
GATED = {
    "on": "gated",
    "objective": "anp",
    "epochs": 3,
    "learning_rate": 0.02,
    "gate_learning_rate": 0.3,
    "budget": {"macs": 0.5},
    "remove_dead_after": 1,
    "average": 0.5,
    "attack": {"steps": 2},
}
SLIM = {"on": "slim", "objective": "adversarial", "epochs": 2, "attack": {"steps": 2}}


def _rows(out: Path) -> list[dict[str, str]]:
    with (out / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def _rewrite(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the state that the newest checkpoint of a run holds."""
    newest = checkpoint.latest(run / "checkpoints")
    assert newest is not None
    kept = checkpoint.read_state(newest)
    change(kept)
    (newest / "state.json").write_text(json.dumps(kept))


def _same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return all(m == n and torch.equal(v, w) for (m, v), (n, w) in pairs)


def test_standard_training_learns_what_is_separable(
    go: Go, make_settings: MakeSettings, tmp_path: Path
) -> None:
    trained = go(make_settings({**DENSE, "epochs": 5}))
    rows = _rows(tmp_path / "run")
    assert rows[-1]["validation_clean"] == "1.0"
    assert trained.best == max(float(row["validation_robust"]) for row in rows)
    assert trained.last == float(rows[-1]["validation_robust"])
    assert trained.gated is None


def test_the_given_model_is_left_as_it_is(
    go: Go, make_settings: MakeSettings, small: nn.Module
) -> None:
    before = {name: value.clone() for name, value in small.state_dict().items()}
    go(make_settings(DENSE))
    assert all(torch.equal(value, before[name]) for name, value in small.state_dict().items())


def test_global_random_state_and_threads_are_left_as_they_are(
    go: Go, make_settings: MakeSettings
) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    go(make_settings(DENSE))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_validation_changes_nothing_in_training(go: Go, make_settings: MakeSettings) -> None:
    often = go(make_settings(DENSE), "often")
    seldom = go(make_settings(DENSE, validation_every=2, validation_attack_steps=5), "seldom")
    assert _same(often.model, seldom.model)


def test_all_phases_end_in_a_smaller_plain_model_at_its_budget(
    go: Go, make_settings: MakeSettings, tmp_path: Path
) -> None:
    trained = go(make_settings(DENSE, GATED, SLIM))
    assert isinstance(trained.gated, GatedModel)
    assert not isinstance(trained.model, GatedModel)
    rows = _rows(tmp_path / "run")
    assert [row["phase"][-1] for row in rows] == ["0"] * 2 + ["1"] * 3 + ["2"] * 2
    unpruned = 16 * 6 + 6 * 2
    assert int(rows[-1]["macs"]) == 0.5 * unpruned  # 3 of 6 units
    assert sum(p.numel() for p in trained.model.parameters()) == 17 * 3 + 4 * 2


def test_a_run_stopped_by_ctrl_c_resumes_where_it_was(
    go: Go, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(DENSE, GATED, SLIM)
    whole = go(settings, "whole")
    take, taken = step.take, 0

    def interrupted(*given: Any) -> None:
        nonlocal taken
        taken += 1
        if taken in (3, 17):
            signal.raise_signal(signal.SIGINT)
        take(*given)

    monkeypatch.setattr(step, "take", interrupted)
    for _ in range(2):
        with pytest.raises(Interrupted, match="stopped in"):
            go(settings, "stopped", resume=True)
    resumed = go(settings, "stopped", resume=True)
    assert _same(resumed.model, whole.model)
    assert taken == 7 * 6  # no step was taken twice


def test_a_full_disk_stops_the_run_and_loses_nothing(
    go: Go, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings({**DENSE, "epochs": 3})
    whole = go(settings, "whole")
    write, saved = checkpoint._write_files, 0

    def fill_up(*given: Any) -> None:
        nonlocal saved
        saved += 1
        if saved == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*given)

    monkeypatch.setattr(checkpoint, "_write_files", fill_up)
    with pytest.raises(OSError, match="No space left"):
        go(settings, "filled")
    assert _same(go(settings, "filled", resume=True).model, whole.model)


def test_a_finished_run_is_not_trained_again(
    go: Go, make_settings: MakeSettings, tmp_path: Path
) -> None:
    first = go(make_settings(DENSE))
    written = (tmp_path / "run" / "metrics.csv").read_text()
    assert _same(go(make_settings(DENSE), resume=True).model, first.model)
    assert (tmp_path / "run" / "metrics.csv").read_text() == written


def test_a_folder_with_a_run_is_not_overwritten(go: Go, make_settings: MakeSettings) -> None:
    go(make_settings(DENSE))
    with pytest.raises(ValueError, match="holds a run already"):
        go(make_settings(DENSE))


def test_other_settings_cannot_be_resumed(go: Go, make_settings: MakeSettings) -> None:
    go(make_settings(DENSE))
    with pytest.raises(ValueError, match="had other settings"):
        go(make_settings(DENSE, seed=1), resume=True)


def test_a_run_from_before_the_best_ones_clean_accuracy_was_kept_goes_on(
    go: Go, make_settings: MakeSettings, tmp_path: Path
) -> None:
    first = go(make_settings(DENSE))

    def older(kept: dict[str, Any]) -> None:
        del kept["best"]["clean"]

    _rewrite(tmp_path / "run", older)
    assert _same(go(make_settings(DENSE), resume=True).model, first.model)


def test_a_checkpoint_of_another_schema_is_refused_by_name(
    go: Go, make_settings: MakeSettings, tmp_path: Path
) -> None:
    go(make_settings(DENSE))
    _rewrite(tmp_path / "run", lambda kept: kept.update(schema=99))
    with pytest.raises(ValueError, match="schema 99; this advprune resumes schema 1"):
        go(make_settings(DENSE), resume=True)


def test_a_run_keeps_its_threads_whatever_the_process_that_resumes_it_has(
    go: Go, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings, take, seen = make_settings(DENSE, threads=None), step.take, []

    def watched(*given: Any) -> None:
        seen.append(torch.get_num_threads())
        if len(seen) == 8:  # in the second epoch
            raise KeyboardInterrupt
        take(*given)

    monkeypatch.setattr(step, "take", watched)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with pytest.raises(KeyboardInterrupt):
        go(settings)
    torch.set_num_threads(1)
    go(settings, resume=True)
    torch.set_num_threads(before)
    assert seen == [2] * len(seen)


def test_a_resume_with_other_kernels_is_told(
    go: Go, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(make_settings(DENSE))
    other = {**host.numerics(), "threads": 1, "cpu_capability": "OTHER"}
    monkeypatch.setattr(host, "numerics", lambda: other)
    with pytest.warns(RuntimeWarning, match="not to the bit: cpu_capability was .*, is OTHER"):
        go(make_settings(DENSE), resume=True)


def test_an_impossible_budget_is_refused_before_training(
    go: Go, make_settings: MakeSettings, tmp_path: Path
) -> None:
    told = r"training\.phases\.phase-1\.budget\.macs = 0\.01 of 108: .*one unit a group takes 18"
    with pytest.raises(ValueError, match=told):
        go(make_settings(DENSE, {**GATED, "budget": {"macs": 0.01}}))
    assert not (tmp_path / "run" / "metrics.csv").exists()


def test_the_attack_may_run_on_sampled_gates(go: Go, make_settings: MakeSettings) -> None:
    expected = go(make_settings({**GATED, "attack": {"steps": 2}}), "expected")
    sampled = go(make_settings({**GATED, "attack": {"steps": 2, "on": "sampled"}}), "sampled")
    assert not _same(expected.model, sampled.model)
    assert not any(module.training for module in sampled.model.modules())


def test_the_training_images_decide_the_steps(
    go: Go, make_settings: MakeSettings, splits: Splits, tmp_path: Path
) -> None:
    go(make_settings(DENSE, batch_size=9))
    assert [row["step"] for row in _rows(tmp_path / "run")] == ["5", "10"]
    assert len(splits.train) // 9 == 5


def test_gaussian_weights_ship_their_means_and_feed_the_gated_phase(
    go: Go, make_settings: MakeSettings, tmp_path: Path
) -> None:
    gaussian = {"on": "gaussian", "objective": "adv_bnn", "beta": 0.01, "learning_rate": 0.02}
    attack = {"steps": 2, "on": "sampled"}
    alone = go(make_settings({**gaussian, "attack": attack}), "alone")
    assert set(alone.model.state_dict()) == {"f1.weight", "f1.bias", "f2.weight", "f2.bias"}
    followed = go(make_settings({**gaussian, "attack": attack}, {**GATED, "epochs": 1}), "followed")
    assert isinstance(followed.model, GatedModel)


def test_weights_that_noise_drowns_ship_as_zeros(go: Go, make_settings: MakeSettings) -> None:
    phase = {"on": "gaussian", "objective": "variational_dropout", "learning_rate": 0.02}
    prior = {"family": "log_uniform", "start": -1}
    trained = go(make_settings(phase, gaussian=prior))
    zeros = [bool((weight == 0).any()) for weight in trained.model.parameters() if weight.dim() > 1]
    assert zeros == [True, True]
    with pytest.raises(ValueError, match=r"goes with gaussian\.family 'log_uniform', not 'normal'"):
        make_settings(phase)


def test_a_collapse_under_a_single_step_is_told(
    go: Go, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling = iter([0.9, 0.8, 0.5])
    monkeypatch.setattr(
        validation, "measure", lambda *_, **__: validation.Accuracy(1.0, next(falling))
    )
    phase = {"objective": "madry", "epochs": 3, "attack": {"steps": 1}}
    with pytest.warns(RuntimeWarning, match=r"epoch 3: accuracy under PGD fell from 80.0% to 50"):
        trained = go(make_settings(phase))
    assert trained.best == 0.9


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs whose network was kept as the best yet."""
    seen: list[int] = []
    save = snapshot.save_model

    def watched(run: Any, state: Any, name: str) -> None:
        seen.append(state.position.epoch)
        save(run, state, name)

    monkeypatch.setattr(snapshot, "save_model", watched)
    return seen


def _measuring(monkeypatch: pytest.MonkeyPatch, *found: validation.Accuracy) -> None:
    """Lets the validation of each epoch find that."""
    measured = iter(found)
    monkeypatch.setattr(validation, "measure", lambda *_, **__: next(measured))


def test_of_equally_robust_networks_the_one_that_is_right_more_often_is_kept(
    go: Go, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, kept: list[int]
) -> None:
    _measuring(monkeypatch, *(validation.Accuracy(clean, 0.3) for clean in (0.5, 0.9, 0.7)))
    go(make_settings({"objective": "madry", "epochs": 3, "attack": {"steps": 1}}))
    assert kept == [1, 2]


def test_where_nothing_is_attacked_the_clean_accuracy_chooses(
    go: Go, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, kept: list[int]
) -> None:
    chance, later = validation.Accuracy(0.5, 0.02), validation.Accuracy(0.9, 0.0)
    _measuring(monkeypatch, chance, later, validation.Accuracy(0.9, 0.01))
    go(make_settings({"objective": "standard", "epochs": 3}))
    assert kept == [1, 2, 3]


def test_a_teacher_that_answers_other_classes_is_refused_before_training(
    small: nn.Module, splits: Splits, make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings({"objective": "ard", "teacher": "parent"})
    wide = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    threat = ThreatModel("linf", 0.1)
    arguments: dict[str, Any] = {"out": tmp_path / "run", "slim": pruning.slim}
    with pytest.raises(ValueError, match=r"parent answers \(8, 3\) to 8 images"):
        train(small, splits, threat, settings, networks={"parent": wide}, **arguments)
    with pytest.raises(ValueError, match=r"not given: \['parent'\]"):
        train(small, splits, threat, settings, **arguments)

import io
import os
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from advprune.comparison import sweep as module
from advprune.comparison.sweep import sweep
from advprune.recipes import Recipe

VARY = ["training.phases.train.learning_rate=1e-4..1e-1:log"]


def silent() -> Console:
    return Console(file=io.StringIO(), width=120)


class Killed(BaseException):
    """What a killed process leaves behind: nothing told, its lock gone."""


@pytest.fixture
def worth(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Folder and rate of each run; a higher rate is more robust and larger."""
    seen: list[tuple[str, float]] = []

    def run(recipe: Recipe, folder: Path, console: Console) -> tuple[float, int]:
        rate = recipe.training.phases[0].learning_rate
        seen.append((folder.name, rate))
        return rate, int(1e6 * rate)

    monkeypatch.setattr(module, "_worth", run)
    return seen


def test_the_study_ends_with_as_many_trials_as_were_asked_for(
    recipes_of: Any, tmp_path: Path, worth: list[tuple[str, float]]
) -> None:
    (source,) = recipes_of("a")
    study = sweep(source, VARY, trials=5, out=tmp_path / "out", console=silent())
    assert [trial.values for trial in study.trials] == [[r, int(1e6 * r)] for _, r in worth]
    assert len(worth) == 5
    page = (tmp_path / "out" / "sweep.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert "learning_rate" in page


def test_trials_that_are_all_worth_the_same_have_a_page_without_importances(
    recipes_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_worth", lambda *_: (0.5, 100))
    (source,) = recipes_of("a")
    sweep(source, VARY, trials=4, out=tmp_path / "out", console=silent())
    assert (tmp_path / "out" / "sweep.html").read_text(encoding="utf-8").count("<svg") == 1


def test_called_again_it_goes_on_with_the_same_study(
    recipes_of: Any, tmp_path: Path, worth: list[tuple[str, float]]
) -> None:
    (source,) = recipes_of("a")
    for trials in (2, 2, 3):
        sweep(source, VARY, trials=trials, out=tmp_path / "out", console=silent())
    assert len(worth) == 3


def test_a_killed_trial_goes_on_in_its_folder_with_its_setting(
    recipes_of: Any,
    tmp_path: Path,
    worth: list[tuple[str, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (source,) = recipes_of("a")
    rates: list[float] = []

    def killed(recipe: Recipe, folder: Path, console: Console) -> tuple[float, int]:
        rates.append(recipe.training.phases[0].learning_rate)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, "_worth", killed)
        with pytest.raises(Killed):
            sweep(source, VARY, trials=2, out=tmp_path / "out", console=silent())
    sweep(source, VARY, trials=2, out=tmp_path / "out", console=silent())
    assert worth[0] == ("trial0000", rates[0])
    assert len(worth) == 2


def test_a_trial_that_another_process_holds_is_left_to_it(
    recipes_of: Any, tmp_path: Path, worth: list[tuple[str, float]]
) -> None:
    (source,) = recipes_of("a")
    out = tmp_path / "out"
    out.mkdir()
    study = module._study(out, "a")
    trial = study.ask()
    trial.suggest_float("training.phases.train.learning_rate", 1e-4, 1e-1, log=True)
    with module._held(out / module._folder(trial)):
        sweep(source, VARY, trials=2, out=out, console=silent())
    assert [folder for folder, _ in worth] == ["trial0001"]


def _worker(source: str, out: Path, waits_for: Path) -> BaseProcess:
    """A process of its own, whose runs take as long as a file is there."""

    def worth(recipe: Recipe, folder: Path, console: Console) -> tuple[float, int]:
        with (folder / "workers").open("a") as file:
            file.write(f"{os.getpid()} {recipe.training.phases[0].learning_rate}\n")
        _wait_until(lambda: not waits_for.exists())
        return 0.5, 100

    def work() -> None:
        module._worth = worth
        sweep(source, VARY, trials=4, out=out, console=silent())

    process = get_context("fork").Process(target=work)
    process.start()
    return process


def _wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_two_processes_share_a_study_and_take_up_what_a_killed_one_left(
    recipes_of: Any, tmp_path: Path
) -> None:
    (source,) = recipes_of("a")
    out, long = tmp_path / "out", tmp_path / "long"
    long.touch()
    killed = _worker(source, out, long)
    begun = out / "trial0000" / "workers"
    _wait_until(begun.is_file)
    killed.kill()
    killed.join()
    workers = [_worker(source, out, long) for _ in range(2)]
    _wait_until(lambda: len(list(out.glob("*/workers"))) == 2 and _lines(begun) == 2)
    long.unlink()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    runs = [path.read_text().split() for path in sorted(out.glob("trial*/workers"))]
    assert len(runs) == 4
    first, *others = runs
    assert first[1] == first[3]  # the same learning rate as before the kill
    assert all(len(run) == 2 for run in others)  # each once
    assert {run[-2] for run in runs} == {str(worker.pid) for worker in workers}


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_a_setting_that_fails_is_a_failed_trial_and_not_tried_for_ever(
    recipes_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(recipe: Recipe, folder: Path, console: Console) -> tuple[float, int]:
        raise ValueError("too much")

    monkeypatch.setattr(module, "_worth", fails)
    (source,) = recipes_of("a")
    study = sweep(source, VARY, trials=2, out=tmp_path / "out", console=silent())
    assert [trial.state.name for trial in study.trials] == ["FAIL", "FAIL"]


def test_a_wrong_key_is_told_before_anything_runs(
    recipes_of: Any, tmp_path: Path, worth: list[tuple[str, float]]
) -> None:
    (source,) = recipes_of("a")
    with pytest.raises(ValueError, match="learning_rat"):
        sweep(source, ["training.phases.train.learning_rat=1|2"], trials=1, out=tmp_path / "out")
    assert worth == []


def test_a_trial_is_worth_its_validation_accuracy_and_its_size(
    recipes_of: Any, tmp_path: Path
) -> None:
    (source,) = recipes_of("a")
    study = sweep(
        source, ["model.widths=[2, 2, 4]|[2, 2, 8]"], trials=1, out=tmp_path, console=silent()
    )
    robust, macs = study.trials[0].values
    assert 0 <= robust <= 1
    assert macs > 0
    assert not (tmp_path / "trial0000" / "result.json").exists()

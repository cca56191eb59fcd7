import json
from pathlib import Path

import methods
import pytest
from click.testing import CliRunner, Result

from advprune import recipes
from advprune.recipes import Recipe
from advprune.recipes.loading import dump

PLANNED = """
name: row
base: mnist-anp-vs
training:
  phases:
  - {name: pretrain, epochs: 1}
  - {name: prune, epochs: 2, kl_warmup_epochs: 1}
  - {name: finetune, epochs: 4}
"""


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "methods" / "task").mkdir(parents=True)
    (tmp_path / "methods" / "task" / "row.yaml").write_text(PLANNED)
    monkeypatch.setattr(methods, "FOLDER", tmp_path / "methods")
    monkeypatch.setattr(methods, "RESULTS", tmp_path / "results")


def planned(tmp_path: Path) -> Recipe:
    return recipes.load(tmp_path / "methods" / "task" / "row.yaml")


def finish(tmp_path: Path, seed: int, cpu_seconds: float) -> Path:
    """A finished run of the recipe as it is now."""
    run = tmp_path / "runs" / f"row-seed{seed}-abc"
    run.mkdir(parents=True)
    told = {**planned(tmp_path).resolved(), "seed": seed}
    (run / "recipe.yaml").write_text(dump(Recipe.model_validate(told)))
    (run / "result.json").write_text(json.dumps({"training": {"cpu_seconds": cpu_seconds}}))
    return run


def called(*arguments: object) -> Result:
    found = CliRunner().invoke(methods.main, [str(argument) for argument in arguments])
    assert found.exit_code in (0, 1)
    return found


def epochs(tmp_path: Path) -> list[int]:
    return [phase.epochs for phase in planned(tmp_path).training.phases]


def test_a_row_that_took_half_its_time_lasts_twice_as_long_with_its_warm_ups(
    tmp_path: Path,
) -> None:
    finish(tmp_path, 0, 80)
    assert called("replan", "task", tmp_path / "runs").output == "row: took 0.50 of its time\n"
    assert epochs(tmp_path) == [2, 4, 8]
    assert planned(tmp_path).training.phases[1].kl_warmup_epochs == 2


def test_several_seeds_count_by_their_mean(tmp_path: Path) -> None:
    for seed, seconds in enumerate((60, 100)):
        finish(tmp_path, seed, seconds)
    called("replan", "task", tmp_path / "runs")
    assert epochs(tmp_path) == [2, 4, 8]


def test_a_row_near_its_time_and_runs_of_another_plan_change_nothing(tmp_path: Path) -> None:
    finish(tmp_path, 0, 130)
    called("replan", "task", tmp_path / "runs")
    assert epochs(tmp_path) == [1, 2, 4]
    longer = PLANNED.replace("epochs: 4", "epochs: 5")
    (tmp_path / "methods" / "task" / "row.yaml").write_text(longer)
    assert methods.of_planned("task", tmp_path / "runs") == {}


def test_longer_attacks_go_as_far_in_fewer_steps() -> None:
    recipe = recipes.load("cifar10-at")
    (phase,) = recipe.training.phases
    short = methods.shortened(methods.TASKS["cifar10"], recipe, phase)
    assert short["steps"] == 3
    assert short["steps"] * short["step_size"] == pytest.approx(10 * 2 / 255, abs=1e-5)


def test_rows_are_paired_by_seed(tmp_path: Path) -> None:
    for row, survivors in (("a", "c0"), ("b", "80"), ("c", "80")):
        folder = tmp_path / "results" / "task" / f"{row}-seed{int(row == 'c')}"
        folder.mkdir(parents=True)
        after = {"survivors": survivors, "examples": 3, "data_hash": "same"}
        (folder / "result.json").write_text(json.dumps({"after": after}))
    assert (
        "a, b, seed0: 1 images stand in both, 1 in the first"
        in called("pair", "task", "a", "b").output
    )
    assert "share no seed" in called("pair", "task", "a", "c").output

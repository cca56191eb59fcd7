import json
from pathlib import Path
from typing import Any

import pytest

from advprune.comparison import plan


def test_every_recipe_gets_its_first_seed_before_any_gets_its_second(
    recipes_of: Any, tmp_path: Path
) -> None:
    runs = plan(recipes_of("a", "b"), 2, tmp_path)
    assert [(run.row, run.recipe.seed) for run in runs] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert [run.recipe.training.seed for run in runs] == [0, 0, 1, 1]


def test_a_change_of_the_recipe_is_another_run(recipes_of: Any, tmp_path: Path) -> None:
    (first,) = plan(recipes_of("a"), 1, tmp_path)
    (again,) = plan(recipes_of("a"), 1, tmp_path)
    (other,) = plan(recipes_of("a"), 1, tmp_path, ["threat.eps=0.1"])
    assert first.folder == again.folder != other.folder
    assert first.folder.name.startswith("a-seed0-")


def test_a_run_is_missing_then_stopped_then_done(recipes_of: Any, tmp_path: Path) -> None:
    (run,) = plan(recipes_of("a"), 1, tmp_path)
    assert run.state == "missing"
    run.folder.mkdir()
    (run.folder / "recipe.yaml").write_text("")
    assert run.state == "stopped"
    (run.folder / "result.json").write_text(json.dumps({}))
    assert run.state == "done"


def test_rows_of_one_name_are_refused(recipes_of: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="recipes a come twice"):
        plan(recipes_of("a", "a"), 1, tmp_path)
    with pytest.raises(ValueError, match="seeds=0"):
        plan(recipes_of("a"), 0, tmp_path)

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.comparison.results import result

from advprune.comparison import compare
from advprune.recipes import Recipe


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, bool]]:
    """Runs that were asked for: name, seed and whether to resume; each leaves figures."""
    seen: list[tuple[str, int, bool]] = []

    def run_recipe(recipe: Recipe, out: Path, *, resume: bool, console: Console) -> None:
        seen.append((recipe.name, recipe.seed, resume))
        out.mkdir(parents=True, exist_ok=True)
        (out / "recipe.yaml").write_text("")
        if recipe.name == "broken":
            raise ValueError("it cannot be")
        (out / "result.json").write_text(json.dumps(result(robust=0.5 + recipe.seed / 10)))

    monkeypatch.setattr("advprune.comparison.running.run_recipe", run_recipe)
    return seen


def silent() -> Console:
    return Console(file=io.StringIO(), width=120)


def test_what_is_missing_is_run_and_what_is_done_is_not_run_again(
    recipes_of: Any, tmp_path: Path, ran: list[tuple[str, int, bool]]
) -> None:
    out = tmp_path / "out"
    compare(recipes_of("a"), seeds=1, out=out, console=silent())
    (row,) = compare(recipes_of("a"), seeds=2, out=out, console=silent())
    assert ran == [("a", 0, False), ("a", 1, False)]
    assert row.figures["robust"].mean == pytest.approx(55)
    assert (out / "comparison.html").is_file()


def test_what_was_stopped_is_resumed(
    recipes_of: Any, tmp_path: Path, ran: list[tuple[str, int, bool]]
) -> None:
    out = tmp_path / "out"
    compare(recipes_of("a"), out=out, console=silent())
    (folder,) = out.glob("a-seed0-*")
    (folder / "result.json").unlink()
    compare(recipes_of("a"), out=out, console=silent())
    assert ran[-1] == ("a", 0, True)


def test_a_run_that_fails_leaves_the_others_and_their_table(
    recipes_of: Any, tmp_path: Path, ran: list[tuple[str, int, bool]]
) -> None:
    with pytest.raises(RuntimeError, match=r"broken-seed0-.*: it cannot be"):
        compare(recipes_of("broken", "a"), out=tmp_path / "out", console=silent())
    assert "| a ★ |" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")


def test_controls_of_what_is_done_are_rows_of_their_own_and_run_once(
    recipes_of: Any,
    tmp_path: Path,
    ran: list[tuple[str, int, bool]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, sources = tmp_path / "out", recipes_of("a", "b")
    made = [Path(path) for path in recipes_of("a-narrowed", "a-random")]

    def write(folder: Path) -> list[Path]:
        return made if folder.name.startswith("a-seed") else []

    monkeypatch.setattr("advprune.recipes.controls.write", write)
    for _ in range(2):
        found = compare(sources, out=out, controls=True, console=silent())
    assert [name for name, *_ in ran] == ["a", "b", "a-narrowed", "a-random"]
    assert [row.name for row in found] == ["a", "a-narrowed", "a-random", "b"]
    assert all(row.runs == row.planned == 1 for row in found)


def test_a_run_that_failed_has_no_controls(
    recipes_of: Any, tmp_path: Path, ran: list[tuple[str, int, bool]]
) -> None:
    with pytest.raises(RuntimeError, match="it cannot be"):
        compare(recipes_of("broken"), out=tmp_path / "out", controls=True, console=silent())
    assert ran == [("broken", 0, False)]


def test_a_wrong_recipe_stops_everything_before_it_starts(
    recipes_of: Any, tmp_path: Path, ran: list[tuple[str, int, bool]]
) -> None:
    with pytest.raises(ValueError, match="Unknown recipe 'digit'"):
        compare([*recipes_of("a"), "digit"], out=tmp_path / "out", console=silent())
    with pytest.raises(ValueError, match="workers=0"):
        compare(recipes_of("a"), out=tmp_path / "out", workers=0)
    assert ran == []


def test_real_runs_go_side_by_side_in_processes(recipes_of: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = compare(recipes_of("a", "b"), out=out, workers=2, console=silent())
    assert [row.runs for row in found] == [1, 1]
    assert 0 < found[0].figures["clean"].mean <= 100
    assert found[0].figures["robust"] == found[1].figures["robust"]  # the same but for their names
    (log,) = out.glob("a-*/log.txt")
    assert "train 1/1" in log.read_text(encoding="utf-8")

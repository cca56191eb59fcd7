import json
from pathlib import Path
from typing import Any

import pytest
from tests.comparison.results import result

from advprune import recipes
from advprune.comparison import PlannedRun, rows
from advprune.comparison.table import Figure


def planned(folder: Path, row: str, seed: int, found: dict[str, Any] | None) -> PlannedRun:
    own = folder / f"{row}-{seed}"
    own.mkdir()
    if found is not None:
        (own / "result.json").write_text(json.dumps(found))
    return PlannedRun(row, recipes.load("digits"), own)


def test_figures_are_mean_and_spread_over_the_seeds_that_are_done(tmp_path: Path) -> None:
    (row,) = rows(
        [
            planned(tmp_path, "a", 0, result(robust=0.5)),
            planned(tmp_path, "a", 1, result(robust=0.6)),
            planned(tmp_path, "a", 2, None),
        ]
    )
    assert (row.runs, row.planned) == (2, 3)
    assert row.figures["robust"].mean == pytest.approx(55)
    assert row.figures["robust"].std == pytest.approx(50**0.5)
    assert row.figures["pgd"].mean == pytest.approx(55)  # the stronger of both
    assert row.figures["bytes"].mean == pytest.approx(2)


def test_one_seed_has_no_spread_and_what_was_not_measured_no_figure(tmp_path: Path) -> None:
    (row,) = rows([planned(tmp_path, "a", 0, result())])
    assert row.figures["clean"] == Figure(90.0, None)
    assert (row.figures["seconds"].mean, row.figures["cpu_seconds"].mean) == (12, 9)
    assert {"autoattack", "transfer", "unit_sparsity"}.isdisjoint(row.figures)


def test_what_only_some_runs_have_is_read(tmp_path: Path) -> None:
    attacks = {"transfer:x": {"accuracy": 0.8}, "apgd": {"accuracy": 0.4}}
    found = result(suite="standard", attacks=attacks, widths={"conv": [1, 4], "fc": [2, 4]})
    (row,) = rows([planned(tmp_path, "a", 0, found)])
    assert row.figures["autoattack"].mean == pytest.approx(50)
    assert row.figures["transfer"].mean == pytest.approx(80)
    assert row.figures["unit_sparsity"].mean == pytest.approx(62.5)
    assert "pgd" not in row.figures


def test_autoattack_beside_a_cheaper_suite_is_read(tmp_path: Path) -> None:
    found = result(suite="quick", autoattack={"robust": 0.25})
    (row,) = rows([planned(tmp_path, "a", 0, found)])
    assert row.figures["autoattack"].mean == pytest.approx(25)


def test_rows_on_the_front_are_marked_and_one_without_runs_is_empty(tmp_path: Path) -> None:
    found = rows(
        [
            planned(tmp_path, "good", 0, result(robust=0.5, macs=100)),
            planned(tmp_path, "bad", 0, result(robust=0.4, macs=200)),
            planned(tmp_path, "none", 0, None),
        ]
    )
    assert [(row.name, row.on_front) for row in found] == [
        ("good", True), ("bad", False), ("none", False),
    ]  # fmt: skip
    assert not found[2].figures


def test_a_figure_says_its_spread() -> None:
    assert Figure(1234.567, 0.5).text(1) == "1,234.6 ± 0.5"
    assert Figure(1234.567, None).text(0) == "1,235"

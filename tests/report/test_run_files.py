import math
from pathlib import Path

from advprune.report.run_files import Metrics, read


def test_epochs_count_on_through_phases_and_rows_share_their_epoch() -> None:
    metrics = Metrics(
        phases=["dense", "dense", "dense", "gated"],
        columns={"epoch": [0, 0, 1, 0]},
    )
    assert metrics.epochs() == [0.5, 1.0, 2.0, 3.0]


def test_a_column_of_blanks_holds_nothing(run_dir: Path) -> None:
    metrics = read(run_dir).metrics
    assert math.isnan(metrics.columns["active_units"][0])
    assert metrics.has("active_units")
    assert not Metrics(phases=["a"], columns={"kl": [math.nan]}).has("kl")


def test_networks_keep_their_order_whatever_the_file_has(run_dir: Path) -> None:
    assert list(read(run_dir).networks()) == ["before", "after"]


def test_a_run_without_curves_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"after": {"clean": 0.5}}')
    run = read(tmp_path)
    assert run.metrics.phases == []
    assert run.recipe == ""

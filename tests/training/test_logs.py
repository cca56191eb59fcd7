from pathlib import Path

from advprune.training.logs import Logs


def _write(out: Path, *epochs: int, after: int = 0) -> None:
    with Logs(out, epochs=after, steps=10 * after) as logs:
        for epoch in epochs:
            logs.write({"phase": "a", "epoch": epoch, "step": 10 * epoch, "loss": 0.5})


def _epochs(out: Path) -> list[str]:
    lines = (out / "metrics.csv").read_text().splitlines()
    return [line.split(",")[1] for line in lines]


def test_rows_stand_under_their_heading(tmp_path: Path) -> None:
    _write(tmp_path, 1, 2)
    assert _epochs(tmp_path) == ["epoch", "1", "2"]


def test_rows_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    _write(tmp_path, 1, 2, 3)
    _write(tmp_path, 2, after=1)
    assert _epochs(tmp_path) == ["epoch", "1", "2"]


def test_a_row_cut_short_by_a_kill_is_dropped(tmp_path: Path) -> None:
    _write(tmp_path, 1)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("a,2,2")
    _write(tmp_path, 2, after=1)
    assert _epochs(tmp_path) == ["epoch", "1", "2"]


def test_tensorboard_gets_the_same(tmp_path: Path) -> None:
    _write(tmp_path, 1)
    assert list((tmp_path / "tensorboard").glob("events.*"))

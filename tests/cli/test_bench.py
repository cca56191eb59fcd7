import json
from pathlib import Path

from click.testing import CliRunner

import advprune as ap
from advprune.cli import main


def test_times_are_shown_written_and_drawn(tmp_path: Path) -> None:
    model = ap.models.build("small_cnn", widths=[2, 2, 4])
    saved = ap.save(model, tmp_path / "model", input_shape=[1, 8, 8])
    out, picture = tmp_path / "times.json", tmp_path / "times.svg"
    arguments = [
        "bench", saved, "--batch", 1, "--batch", 2, "--rounds", 2, "--no-compile",
        "--out", out, "--picture", picture,
    ]  # fmt: skip
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "1.00x" in result.output
    (times,) = json.loads(out.read_text())["times"].values()
    assert [time["batch"] for time in times] == [1, 2]
    assert "batch 2" in picture.read_text()

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import advprune as ap
from advprune.cli import main


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


def test_a_model_that_comes_along_is_checked_and_written_down(tmp_path: Path) -> None:
    out = tmp_path / "check.json"
    result = call("small_cnn", "--input-shape", "1,8,8", "--out", out)
    assert result.exit_code == 0, result.output
    assert "conv2" in result.output
    written = json.loads(out.read_text())
    assert written["groups"] == {"conv1": 32, "conv2": 64, "f1": 128}
    assert [layer["name"] for layer in written["layers"]] == ["conv1", "conv2", "f1", "f2"]


def test_a_saved_model_knows_its_input(tmp_path: Path) -> None:
    model = ap.models.build("small_cnn", widths=[2, 3, 4])
    saved = ap.save(model, tmp_path / "model", input_shape=[1, 8, 8])
    result = call(saved)
    assert "3 groups" in result.output
    silent = ap.save(model, tmp_path / "silent")
    assert "give --input-shape" in call(silent).output


def test_code_of_ones_own_runs_only_when_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "from torch import nn\ndef net(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))"
    (tmp_path / "net_to_check.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    command = ("net_to_check:net", "--input-shape", "1x8x8")
    assert "--trust-code" in call(*command).output
    trusted = call(*command, "--trust-code")
    assert "Nothing can be pruned" in trusted.output
    assert trusted.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("lenet", "--input-shape", "1,28,28"), "Unknown model 'lenet'"),
        (("runs/none/model",), "runs/none/model is no folder"),
        (("small_cnn", "--input-shape", "8,8"), "such as 3,32,32"),
        (("small_cnn",), "give --input-shape"),
    ],
)
def test_a_mistake_is_told_in_words(arguments: tuple[str, ...], complaint: str) -> None:
    result = call(*arguments)
    assert complaint in result.output
    assert result.exit_code == 2

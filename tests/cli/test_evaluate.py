import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import advprune as ap
from advprune.cli import main


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_file_and_its_twin_are_attacked_and_shown_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    threat = {"norm": "linf", "eps": 0.1}
    model = ap.models.build("small_cnn", widths=[2, 2, 4])
    images = ap.data.load("digits").train.tensors()[0][:64]
    ap.save(model, "net", threat=threat)
    ap.export(model, "net.onnx", images, threat=threat)
    options = ("--data", "digits", "--subset", 5, "--suite", "quick")
    result = call("evaluate", "net.onnx", "--twin", "net", *options, "--out", "out.json")
    assert result.exit_code == 0, result.output
    assert "accuracy %, linf eps 0.1" in result.output
    written = json.loads(Path("out.json").read_text())
    assert list(written) == ["net", "net.onnx"]
    assert "transfer:net" in written["net.onnx"]["attacks"]
    assert written["net"]["robust"] == written["net.onnx"]["robust"]
    alone = call("evaluate", "net.onnx", *options, "--out", "alone.json")
    assert alone.exit_code == 0, alone.output
    assert json.loads(Path("alone.json").read_text())["threat"]["eps"] == 0.1


def test_a_model_may_be_evaluated_several_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ap.save(ap.models.build("small_cnn", widths=[2, 2, 4]), "net")
    options = ("--data", "digits", "--eps", "0.1", "--subset", 5, "--suite", "paper")
    result = call("evaluate", "net", *options, "--repeats", 2, "--out", "out.json")
    assert result.exit_code == 0, result.output
    assert "5 examples, 2 times" in result.output
    written = json.loads(Path("out.json").read_text())
    assert len(written["repeats"]) == 2
    assert written["robust"]["worst"] <= written["robust"]["mean"]

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import advprune as ap
from advprune.cli import main
from advprune.shipping import Shipped


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = ap.models.build("small_cnn", widths=[2, 2, 4])
    return ap.save(model, tmp_path / "model", input_shape=[1, 8, 8], classes=list("0123456789"))


def test_a_saved_model_is_exported_checked_and_told_about(saved: Path, tmp_path: Path) -> None:
    result = call("export", saved, tmp_path / "m.onnx", "--data", "digits")
    assert result.exit_code == 0, result.output
    assert "images of digits" in result.output
    assert "100.00" in result.output
    assert Shipped(tmp_path / "m.onnx").metadata["classes"] == list("0123456789")


def test_int8_draws_its_images_from_the_training_split(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def export(*_: object, calibration: object, **__: object) -> None:
        given.append(calibration)
        raise ValueError("enough")

    monkeypatch.setattr(ap, "export", export)
    call("export", saved, tmp_path / "m.onnx", "--data", "digits", "--int8", "--calibration", 64)
    (calibration,) = given
    training = ap.data.load("digits").train.tensors()[0]
    assert len(calibration) == 64  # type: ignore[arg-type]
    assert all((training == image).all((1, 2, 3)).any() for image in calibration)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["m.onnx", "--int8"], "--int8 needs --data"),
        (["m.tflite"], "Known: .onnx, .xml, .pt2, .pte"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(
    arguments: list[str], complaint: str, saved: Path, tmp_path: Path
) -> None:
    result = call("export", saved, tmp_path / arguments[0], *arguments[1:])
    assert complaint in result.output
    assert result.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["model"]

import json
import shutil
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
    assert "in brackets: of the images that fool" in result.output
    assert "its own graph, by torch" in result.output
    written = json.loads(Path("out.json").read_text())
    assert list(written) == ["net", "net.onnx"]
    assert "transfer:net" in written["net.onnx"]["attacks"]
    assert written["net"]["gradients"] == {}
    assert written["net"]["robust"] == written["net.onnx"]["robust"]
    assert "net, net.onnx: " in result.output
    assert "0 in the first alone, 0 in the second alone" in " ".join(result.output.split())
    alone = call("evaluate", "net.onnx", *options, "--out", "alone.json")
    assert alone.exit_code == 0, alone.output
    assert json.loads(Path("alone.json").read_text())["threat"]["eps"] == 0.1


def test_a_model_may_be_evaluated_several_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ap.save(ap.models.build("small_cnn", widths=[2, 2, 4]), "net")
    options = ("--data", "digits", "--eps", "0.1", "--subset", 5, "--suite", "paper")
    result = call("evaluate", "net", *options, "--repeats", 2, "--fresh", 1, "--out", "out.json")
    assert result.exit_code == 0, result.output
    assert "5 examples, 2 times" in result.output
    written = json.loads(Path("out.json").read_text())
    assert len(written["repeats"]) == 2
    assert all("transfer:trained afresh" in one["attacks"] for one in written["repeats"])
    assert written["robust"]["worst"] <= written["robust"]["mean"]


def test_a_written_result_is_verified_and_a_changed_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ap.save(ap.models.build("small_cnn", widths=[2, 2, 4]), "net", input_shape=[1, 8, 8])
    asked = ("evaluate", "net", "--data", "digits", "--eps", 0.1, "--subset", 6, "--suite", "paper")
    made = call(*asked, "--keep", "kept", "--out", "result.json")
    assert made.exit_code == 0, made.output
    honest = call("evaluate", "--verify", "result.json")
    assert honest.exit_code == 0, honest.output
    assert "All is as it says." in honest.output
    Path("elsewhere").mkdir()
    shutil.move("kept", "elsewhere/kept")
    shutil.move("result.json", "elsewhere/result.json")
    moved = call("evaluate", "--verify", "elsewhere/result.json")
    assert moved.exit_code == 0, moved.output
    file = next(Path("elsewhere/kept").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1])
    changed = call("evaluate", "--verify", "elsewhere/result.json")
    assert changed.exit_code == 1
    assert "Not as the result says: pgd40, all attacks." in changed.output
    assert call("evaluate", "--verify", "net/manifest.json").exit_code == 2
    assert "give MODELS and --data" in call("evaluate", "net").output


def test_two_written_results_are_compared_image_by_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ap.save(ap.models.build("small_cnn", widths=[2, 2, 4]), "net")
    asked = ("evaluate", "net", "--data", "digits", "--suite", "paper", "--subset")
    for name, eps, number in (("weak", 0.001, 8), ("strong", 1, 8), ("other", 1, 9)):
        made = call(*asked, number, "--eps", eps, "--out", f"{name}.json")
        assert made.exit_code == 0, made.output
    weak, strong = (json.loads(Path(f"{name}.json").read_text()) for name in ("weak", "strong"))
    one, two = (int(result["survivors"], 16) for result in (weak, strong))
    compared = call("evaluate", "--paired", "weak.json", "strong.json")
    assert compared.exit_code == 0, compared.output
    said = " ".join(compared.output.split())
    both, first, second = (part.bit_count() for part in (one & two, one & ~two, two & ~one))
    assert f"{both} images stand in both, {first} in the first alone, {second} in the" in said
    assert "different images" in call("evaluate", "--paired", "weak.json", "other.json").output
    Path("both.json").write_text(json.dumps({"one": weak, "two": {**weak, "source": {}}}))
    assert "one model each" in call("evaluate", "--paired", "weak.json", "both.json").output


@pytest.mark.parametrize("radii", ["0,half", "-1"])
def test_a_curve_at_an_impossible_radius_is_refused_before_any_attack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, radii: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ap.save(ap.models.build("small_cnn", widths=[2, 2, 4]), "net")
    result = call("evaluate", "net", "--data", "digits", "--eps", 0.1, "--curve", radii)
    assert result.exit_code == 2
    assert "eps" in result.output
    assert "accuracy" not in result.output


def test_a_curve_of_a_model_is_shown_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ap.save(ap.models.build("small_cnn", widths=[2, 2, 4]), "net")
    asked = ("evaluate", "net", "--data", "digits", "--eps", 0.1, "--subset", 6, "--suite", "paper")
    result = call(*asked, "--curve", "0,0.5", "--out", "out.json")
    assert result.exit_code == 0, result.output
    assert [eps for eps, _ in json.loads(Path("out.json").read_text())["curve"]] == [0.0, 0.5]


def test_targeted_figures_are_shown_after_the_usual_ones_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ap.save(ap.models.build("small_cnn", widths=[2, 2, 4]), "net")
    asked = ("evaluate", "net", "--data", "digits", "--eps", 0.1, "--subset", 6, "--suite", "paper")
    result = call(*asked, "--seed", 2, "--targeted", "--out", "out.json")
    assert result.exit_code == 0, result.output
    assert result.output.index("all attacks") < result.output.index("worst target")
    written = json.loads(Path("out.json").read_text())
    found = written["targeted"]
    assert (found["examples"], found["seed"], found["threat"]) == (6, 2, written["threat"])
    assert (found["data_hash"], found["model_hash"]) == (
        written["data_hash"], written["model_hash"],
    )  # fmt: skip
    assert found["success"]["of"] == 9 * (6 - found["wrong"])
    assert 1 - found["wrong"] / 6 == pytest.approx(written["clean"])
    usual = call(*asked, "--out", "out.json")
    assert usual.exit_code == 0, usual.output
    assert "targeted" not in json.loads(Path("out.json").read_text())

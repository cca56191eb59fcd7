import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import advprune as ap
from advprune.cli import main


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["certify", *map(str, arguments)])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = ap.models.build("small_cnn", widths=[2, 2, 4])
    return ap.save(model, tmp_path / "net", threat={"norm": "linf", "eps": 1e-4})


def test_methods_stand_beside_attacks_and_all_is_written(saved: Path, tmp_path: Path) -> None:
    asked = (saved, "--data", "digits", "--subset", 6, "--suite", "paper")
    methods = ("--method", "ibp", "--method", "complete", "--seconds", 5)
    result = call(*asked, *methods, "--out", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    assert "certificates, linf eps 0.0001, 6 examples" in result.output  # the model's own threat
    written = json.loads((tmp_path / "out.json").read_text())
    assert list(written["methods"]) == ["ibp", "complete"]
    assert written["methods"]["complete"]["settings"] == {"seconds": 5.0}
    certified = [one["certified"] for one in written["methods"].values()]
    assert certified[0] <= certified[1] <= written["attacked"]["robust"] <= written["clean"]


def test_smoothing_takes_its_noise_and_attacks_may_be_left_out(saved: Path) -> None:
    asked = (saved, "--data", "digits", "--norm", "l2", "--eps", 0.01, "--subset", 2)
    lacking = call(*asked, "--method", "smoothing")
    assert lacking.exit_code == 2
    assert "sigma" in lacking.output
    result = call(*asked, "--method", "smoothing", "--sigma", 0.05, "--suite", "none")
    assert result.exit_code == 0, result.output
    assert "attacks:" not in result.output


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--method", "magic"), "magic"),
        (("--eps", -1), "eps"),
        (("--subset", 0), "subset=0"),
        (("--sigma", 0.1), "smoothing"),
    ],
)
def test_a_mistake_is_told_in_words(
    saved: Path, options: tuple[object, ...], complaint: str
) -> None:
    result = call(saved, "--data", "digits", *options)
    assert result.exit_code == 2
    assert complaint in result.output

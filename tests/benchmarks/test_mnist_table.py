import json
from pathlib import Path
from typing import Any

import mnist_table
import pytest
import torch
from click.testing import CliRunner

from advprune.gates import gate
from advprune.models import build
from advprune.pruning import slim


def _result(robust: float, examples: int) -> dict[str, Any]:
    return {
        "clean": 0.99,
        "robust": robust,
        "robust_interval": [robust - 0.01, robust + 0.01],
        "examples": examples,
        "attacks": {"pgd40": {"accuracy": 0.92}, "transfer:source": {"accuracy": 0.95}},
    }


def _found(title: str) -> dict[str, Any]:
    forms = {"published_form": 0.017, "relative": 0.3, "margin_weighted": 4.0}
    return {
        "title": title,
        "paper": _result(0.92, 10_000),
        "strong": _result(0.90, 1_000),
        "vulnerability": forms,
        "reference": {"memory": 0.0681, "flops_cut": 10.57},
        "unit_sparsity": 0.8416,
        "cost": {"parameters": 40_000, "macs": 229_300},
        "macs_cut": 10.0,
        "widths": [4, 23, 120, 71],
        "training": {"seconds": 600.0, "cpu_seconds": 500.0},
    }


_AUTOATTACK = {"robust": {"accuracy": 0.885}, "images": {"number": 1000}}


def test_uniform_narrowing_is_the_widest_that_fits() -> None:
    widths = mnist_table.narrowed(229_300)
    macs = 14_400 * widths[0] + 1_600 * widths[0] * widths[1]
    macs += 16 * widths[1] * widths[2] + 10 * widths[2]
    assert 0.9 * 229_300 < macs <= 229_300
    assert widths[1] / 50 == pytest.approx(widths[0] / 20, abs=0.04)


def test_sizes_of_a_slim_model_count_units_and_costs_from_its_tensors() -> None:
    gated = gate(build("lenet5_caffe"), torch.zeros(1, 1, 28, 28), "fixed").eval()
    for name, kept in {"conv1": 4, "conv2": 23, "f1": 71}.items():
        gated.gates[name].close(torch.arange(gated.gates[name].units) >= kept)
    sizes = mnist_table._sizes(slim(gated, torch.rand(2, 1, 28, 28)))
    assert sizes["widths"] == (4, 23, 368, 71)
    assert sizes["unit_sparsity"] == pytest.approx(1 - 466 / 1370)
    assert sizes["macs_cut"] == pytest.approx(2_293_000 / 231_638)


def test_the_table_goes_between_the_markers_and_marks_a_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("above\n<!-- results:begin -->\nold\n<!-- results:end -->\nbelow\n")
    (tmp_path / "anp-vs.json").write_text(json.dumps(_found("ANP-VS")))
    (tmp_path / "anp-vs-autoattack.json").write_text(json.dumps(_AUTOATTACK))
    monkeypatch.setattr(mnist_table, "README", readme)
    monkeypatch.setattr(mnist_table, "FRONT", tmp_path / "front.svg")
    monkeypatch.setattr(mnist_table, "RESULTS", tmp_path)
    result = CliRunner().invoke(mnist_table.main, ["table"])
    assert result.exit_code == 0, result.output
    text = readme.read_text()
    assert text.startswith("above\n")
    assert text.endswith("below\n")
    assert "old" not in text
    assert "90.00 (89.0 to 91.0, 1,000 images)" in text
    assert "| 88.5 |" in text
    head, line, row = text.split("<!-- results:begin -->\n")[1].splitlines()[:3]
    assert head.count("|") == line.count("|") == row.count("|")
    drawn = (tmp_path / "front.svg").read_text()
    assert drawn.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert ">anp-vs</text>" in drawn

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from advprune.report import write
from advprune.report.page import _sizes
from advprune.report.run_files import read


def page(run_dir: Path) -> str:
    return write(run_dir).read_text(encoding="utf-8")


class Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def text_of(html: str) -> str:
    """What a reader sees, with single blanks."""
    parser = Words()
    parser.feed(html)
    return " ".join(" ".join(parser.found).split())


@pytest.fixture(scope="module")
def standard(standard_run: Path) -> str:
    """The page of the run as it is, made once."""
    return page(standard_run)


def change(run_dir: Path, result: dict[str, Any]) -> None:
    (run_dir / "result.json").write_text(json.dumps(result))


def test_the_page_stands_in_the_run_directory(run_dir: Path) -> None:
    assert write(str(run_dir)) == run_dir / "report.html"


def test_headline_shows_before_after_and_how_they_compare(standard: str) -> None:
    text = text_of(standard)
    robust = "91.20 % 90.63 to 91.74 91.31 % 90.74 to 91.85 +0.11 points"
    assert f"robust, worst case of all attacks {robust}" in text
    assert "parameters 458,600 43,386 10.57× less" in text
    assert "multiply-accumulates (MACs), one image 2,293,000 216,930 10.57× less" in text
    assert "mean |h − h̃| 0.04 0.016 2.50× less" in text
    assert "latency (batch 1 · threads 1) 1 ms 0.9 to 1.2" in text


def test_an_attack_that_met_only_survivors_is_told_from_one_that_met_all(standard: str) -> None:
    text = text_of(standard)
    assert "under fgsm 94.20 % 94.31 %" in text
    assert "after pgd too 91.20 % 91.31 %" in text


def test_every_attack_stands_with_its_exact_budget(standard: str) -> None:
    text = text_of(standard)
    assert "attack pgd name PGD · steps 40 · restarts 10 · step_size 0.01 · loss margin" in text
    assert "attack fgsm name FGSM · loss margin" in text


def test_threat_seed_data_and_commit_are_told(standard: str) -> None:
    text = text_of(standard)
    for fact in (
        "threat norm linf · eps 0.3",
        "seed 17",
        "split test",
        "images judged 10000",
        "commit 0b8f301",
    ):
        assert fact in text


def test_warnings_are_named_rows(standard: str) -> None:
    assert "black box run 0.03 exceeds 0. Transfer beats PGD." in text_of(standard)


def test_no_warnings_and_no_checks_are_told_apart(run_dir: Path, result: dict[str, Any]) -> None:
    result["warnings"] = []
    change(run_dir, result)
    assert "no check for masked gradients or weak attacks has spoken" in page(run_dir)
    del result["warnings"], result["before"]["warnings"], result["after"]["warnings"]
    change(run_dir, result)
    assert "ran no checks" in page(run_dir)


def test_all_six_pictures_are_there(standard: str) -> None:
    titles = re.findall(r"<h3>(.*?)</h3>\s*<svg", standard)
    assert titles == [
        "Vulnerability of each layer",
        "Vulnerability of the features of conv1",
        "Accuracy against eps",
        "Losses",
        "Accuracy",
        "Size",
    ]


def test_sizes_are_shares_of_the_unpruned_network(run_dir: Path, result: dict[str, Any]) -> None:
    result["before"]["cost"]["macs"] = 4 * 2_293_000
    result["after"]["widths"] = {"conv1": [4, 2 * 1370]}
    change(run_dir, result)
    sizes = _sizes(read(run_dir))
    assert max(sizes["MACs"]) == 0.25
    assert max(value for value in sizes["active units"] if value == value) == 0.5


def test_widths_are_bars_with_their_numbers(standard: str) -> None:
    assert "conv2 23 of 50" in text_of(standard)
    assert 'style="width: 46.0%"' in standard


def test_the_page_needs_nothing_but_itself(standard: str) -> None:
    assert not re.search(r"https?:|//\w|<script|<link|<img|@import|url\((?!#)", standard)
    references = set(re.findall(r'href="([^"]*)"', standard))
    assert references
    assert all(f'id="{reference[1:]}"' in standard for reference in references)


def test_text_from_files_is_escaped(run_dir: Path, result: dict[str, Any]) -> None:
    evil = "<script>alert(1)</script>"
    result["recipe"] = result["warnings"] = result["after"]["attacks"][evil] = evil
    result["after"]["attacks"] = {evil: {"accuracy": 0.5, "budget": {evil: evil}}}
    result["after"]["vulnerability"]["layers"] = {evil: 0.1}
    result["after"]["widths"] = {evil: [1, 2]}
    for key in ("before", "after"):
        result[key]["vulnerability"]["features"] = {evil: [0.1, 0.2]}
    change(run_dir, result)
    (run_dir / "recipe.yaml").write_text(f"name: {evil}")
    metrics = run_dir / "metrics.csv"
    metrics.write_text(metrics.read_text().replace("pretrain", evil))
    html = page(run_dir)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 8


def test_a_curve_may_be_a_mapping(run_dir: Path, result: dict[str, Any]) -> None:
    result["curve"] = {"0.0": 0.99, "0.3": 0.9}
    change(run_dir, result)
    assert "Accuracy against eps" in page(run_dir)


def test_families_of_attacks_stand_for_their_attacks(run_dir: Path, result: dict[str, Any]) -> None:
    for key in ("before", "after"):
        network = result[key]
        for severity in range(1, 6):
            budget = {"name": "Corruption", "kind": "jpeg", "severity": severity}
            network["attacks"][f"jpeg {severity}"] = {"accuracy": 0.9, "budget": budget}
        network["families"] = [
            {"name": "linf eps 0.3, its own", "worst_case": 0.8, "mean": None},
            {"name": "corruptions", "worst_case": 0.1, "mean": 0.75},
        ]
    change(run_dir, result)
    text = text_of(page(run_dir))
    assert "under linf eps 0.3, its own 80.00 % 80.00 %" in text
    assert "under corruptions 75.00 % 75.00 %" in text
    assert "under jpeg 1" not in text
    assert "attack jpeg name Corruption · kind jpeg · severity 5" in text


def test_smallest_perturbations_have_their_median_and_their_curve(
    run_dir: Path, result: dict[str, Any]
) -> None:
    for key, median in (("before", 0.2), ("after", 0.1)):
        result[key]["smallest"] = {
            "quantiles": {"0.5": median},
            "curve": [[0.0, 0.9], [median, 0.45]],
        }
    change(run_dir, result)
    html = page(run_dir)
    assert "smallest perturbation, median 0.2 0.1 2.00× less" in text_of(html)
    assert "Accuracy against the smallest perturbation" in html


def test_mathematics_in_names_is_left_as_text(run_dir: Path, result: dict[str, Any]) -> None:
    result["after"]["vulnerability"]["layers"] = {r"$\frac$": 0.1}
    change(run_dir, result)
    assert r"$\frac$" in page(run_dir)


def test_a_method_without_gates_needs_no_before(run_dir: Path, result: dict[str, Any]) -> None:
    del result["before"]
    change(run_dir, result)
    text = text_of(page(run_dir))
    assert "robust, worst case of all attacks 91.31 % 90.74 to 91.85 under fgsm" in text
    assert "figure slim, as shipped Accuracy" in text


def test_the_barest_result_still_makes_a_page(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"after": {"clean": 0.5}}')
    html = page(tmp_path)
    assert "clean 50.00 %" in text_of(html)
    assert "<svg" not in html


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no result.json"), ("{", "is not JSON"), ('{"clean": 1}', "holds no figures")],
)
def test_a_directory_without_figures_is_refused(
    tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        write(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_writing_needs_no_torch(run_dir: Path) -> None:
    code = (
        "import sys; from advprune.report import write; write(sys.argv[1]);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, run_dir], check=False).returncode == 0

import json
from pathlib import Path
from typing import Any

import claim
import claim_table
import pytest
from claim_table import FIRST, RANDOM, REVERSE, TITLES
from click.testing import CliRunner


def cut(robust: float, survivors: str) -> dict[str, Any]:
    found = {"clean": 0.9, "robust": robust, "survivors": survivors, "relative": 0.2}
    return {"untuned": found, "tuned": found, "validation_best": robust}


def seed(robust: float, agreement: float) -> dict[str, Any]:
    """V keeps the first four images of eight, its reverse the last four and the fourth."""
    scores = {score: cut(0.5, "f0") for score in TITLES} | {REVERSE: cut(robust, "1f")}
    return {
        "scores": scores,
        "dense": {"clean": 1.0, "robust": 0.8, "relative": 0.3},
        "gates": {"agreement": {key: {"conv1": agreement, "f1": 0.0} for key in TITLES}},
    }


def test_the_table_tells_means_deviations_and_paired_tests() -> None:
    lines = claim_table.as_markdown({"seeds": {"0": seed(0.6, 0.2), "1": seed(0.7, 0.4)}})
    rows = {line.split(" | ")[0]: line for line in lines.splitlines()}
    reverse = rows["| reverse V: the least vulnerable go"]
    assert "| 65.0 ± 7.1 | +15.0 ± 7.1 | 0.200 ± 0.000 | +0.15 ± 0.07 |" in reverse
    assert rows["| V: the most vulnerable go"].count("| 50.0 ± 0.0 |  |") == 1
    against = next(line for line in lines.splitlines() if "reverse" in line and "tuned:" in line)
    assert "-15.0 points" in against
    assert "interval over 2 seeds -78.5 to +48.5 (paired t-test p = 0.2)" in against
    assert "only one gets right: 6 and 8 (McNemar p = 0.79)" in against


def test_one_network_is_cut_by_each_score_and_a_second_call_finds_all_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = claim.Setup(
        "digits",
        (
            *claim.SETUPS["digits"].changes,
            *(f"training.phases.{n}.epochs=1" for n in ("pretrain", "prune", "finetune")),
            *(f"training.phases.{n}.attack.steps=1" for n in ("pretrain", "prune", "finetune")),
            "model.widths=[4,4,8]",
            "training.validation_attack_steps=1",
            "evaluation.examples=20",
        ),
    )
    monkeypatch.setitem(claim.SETUPS, "digits", short)
    monkeypatch.setattr(claim, "TITLES", {name: name for name in (FIRST, RANDOM)})
    monkeypatch.setattr(claim, "RESULTS", tmp_path)
    arguments = ["run", "digits", "--seeds", "1", "--keep", "0.5", "--runs", str(tmp_path / "runs")]
    done = CliRunner().invoke(claim.main, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads((tmp_path / "digits-0.5.json").read_text())["seeds"]["0"]
    assert found["scores"].keys() == {FIRST, RANDOM}
    assert found["gates"]["agreement"][FIRST].keys() == {"conv1", "conv2", "f1"}
    budget = found["scores"][FIRST]["macs"]
    assert budget == 2 * 9 * 64 + 2 * 2 * 9 * 64 + 32 * 4 + 40  # widths 2, 2 and 4
    assert 0.7 * budget < found["gates"]["macs"] <= budget
    again = CliRunner().invoke(claim.main, arguments, catch_exceptions=False)
    assert (again.exit_code, again.output) == (0, "")

import json
from pathlib import Path

import defences
import known_defences
import pytest
import torch

from advprune.data import load
from advprune.threat import ThreatModel

THREAT = ThreatModel("linf", 0.1)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_defences, "EPOCHS", 1)
    monkeypatch.setattr(defences, "QUERIES", 20)
    monkeypatch.setattr(defences, "RESTARTS", 1)


def test_a_row_shows_what_was_missed_and_which_checks_spoke() -> None:
    x, y = (part[:200] for part in load("digits", validation=0).train.tensors())
    trained = known_defences.build("bit depth 1", x, y, 0, THREAT)
    plain = defences.judge(trained, x[:20], y[:20], THREAT)
    assert plain["adaptive"] <= plain["plain"] <= plain["clean"]
    row = defences.table({"bit depth 1": plain}).splitlines()[-1]
    assert row.startswith("| bit depth 1 |")
    assert "zero gradients" in row


def test_a_random_row_tells_the_interval() -> None:
    row: dict[str, object] = {"clean": 1.0, "plain": 0.9, "quick": 0.5, "warnings": []}
    row["spread"] = {"mean": 0.45, "low": 0.4, "high": 0.5, "worst": 0.42}
    assert "| 45.0 (40.0 to 50.0), worst 42.0 |" in defences.table({"Adv-BNN": row})


def test_a_run_goes_on_only_where_nothing_else_changed(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    file.write_text(json.dumps({"seed": 0, "rows": {"undefended": {}}}))
    assert defences.begun(file, {"seed": 0})["rows"] == {"undefended": {}}
    assert defences.begun(file, {"seed": 1}) == {"seed": 1, "rows": {}}


@pytest.mark.parametrize("name", ["logit pairing", "analysis by synthesis"])
def test_defences_learn_on_few_images(name: str) -> None:
    x, y = (part[:300] for part in load("digits", validation=0).train.tensors())
    model = known_defences.build(name, x, y, 0, THREAT).model
    with torch.no_grad():
        assert (model(x).argmax(1) == y).float().mean() > 0.2

import defences
import pytest
import torch

from advprune.data import load
from advprune.threat import ThreatModel


def test_a_row_shows_what_was_missed_and_which_checks_spoke(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(defences, "EPOCHS", 1)
    monkeypatch.setattr(defences, "QUERIES", 20)
    digits, threat = load("digits", validation=0), ThreatModel("linf", 0.1)
    x, y = (part[:200] for part in digits.train.tensors())
    trained = defences.build("bit depth 1", x, y, 0, threat)
    plain = defences.judge(trained, x[:20], y[:20], threat)
    assert plain["adaptive"] <= plain["plain"] <= plain["clean"]
    row = defences.table({"bit depth 1": plain}).splitlines()[-1]
    assert row.startswith("| bit depth 1 |")
    assert "zero gradients" in row


def test_each_defence_can_be_built() -> None:
    assert defences.network(side=10)(torch.rand(2, 1, 10, 10)).shape == (2, 10)
    assert defences.NAMES[0] == "undefended"

import io

import pytest
import torch
from rich.console import Console
from torch import nn

from advprune.attacks import FGSM
from advprune.evaluation import attempt as module
from advprune.evaluation.attempt import Target, attempt
from advprune.evaluation.sample import gather
from advprune.threat import ThreatModel


def lines(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    """What is written beside the result while four batches of two are attacked."""
    told = io.StringIO()
    monkeypatch.setattr(
        module,
        "Console",
        lambda **_: Console(file=told, force_terminal=terminal, width=80, no_color=True),
    )
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    sample = gather((torch.rand(8, 1, 2, 2), torch.arange(8) % 2), 2, subset=None, seed=0)
    target = Target(model, sample, 2, 0)
    attempt(target, "one step", FGSM(ThreatModel("linf", 0.1)), model, target.rows())
    return told.getvalue()


def test_a_terminal_shows_how_far_an_attack_is_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = lines(monkeypatch, terminal=True)
    assert "one step" in text
    assert "8/8 0:00:00" in text


def test_nothing_is_written_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines(monkeypatch, terminal=False) == ""

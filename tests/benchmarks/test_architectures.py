from pathlib import Path
from typing import Any

import architectures
import pages
import pytest
import torch
import torch_pruning_guard as guard
from torch import nn

from advprune.evaluation import check
from advprune.gates import gate


def _row(outcome: str, why: str = "") -> dict[str, Any]:
    gone = 0.7 if outcome == "exact" else 0.0
    shares = {"layers": 3, "groups": 2, "parameters_to_go": 0.5, "macs_to_go": 0.25}
    stays = {"its outputs are the model's": ["fc", "head"]}
    return {
        "outcome": outcome,
        "macs_gone": gone,
        "why": why,
        "seconds": 1,
        "onnx": 2e-7,
        "stays": stays,
        **shares,
    }


def test_the_tables_count_outcomes_and_give_no_folder_away() -> None:
    refused = _row("refused", 'cannot (File "/some/where/nets.py", line 3): a | b')
    own = {"commit": "abc", "processor": "x", "rows": {"one": _row("exact"), "two": refused}}
    other = {
        "packages": {"torch-pruning": "1.6.0"},
        "rows": {"one": _row("wrong", "off by 1"), "two": _row("wrong")},
    }
    text = architectures._tables(own, other)
    assert "| one | 3 | 2 | 50.0 | 25.0 | 2e-07 | fc, head: its outputs are the model's |" in text
    assert "| two | cannot (File nets.py, line 3): a \\| b |" in text
    assert "| advprune | 1 | 1 | 0 | 0 | 0 | 1.00 |" in text
    assert "| Torch-Pruning | 0 | 0 | 0 | 0 | 2 | 1.00 |" in text
    assert "| one | exact | 70.0 | 1.00 | wrong | 0.0 | 1.00 | off by 1 |" in text
    assert "/some" not in text
    assert "nets.py" in text
    assert "a \\| b" in text


def test_what_the_rival_does_better_is_named() -> None:
    own = {"one": _row("exact"), "two": _row("refused"), "three": _row("exact")}
    other = {
        "one": {**_row("exact"), "macs_gone": 0.8},
        "two": _row("exact"),
        "three": _row("wrong"),
    }
    assert architectures._where(own, other, 0.0, "alone") == "alone: two."
    assert architectures._where(own, other, 0.02, "more") == "more: one."
    assert architectures._where(own, {"three": other["three"]}, 0.0, "alone") == "alone: none."


def test_the_page_keeps_what_stands_around_its_tables() -> None:
    text = architectures.PAGE.read_text(encoding="utf-8")
    begin, end = pages.marks()
    assert text.index(begin) < text.index(end)


def test_half_of_each_group_is_closed() -> None:
    model = nn.Sequential(nn.Conv2d(1, 5, 3), nn.Flatten(), nn.Linear(20, 4), nn.Linear(4, 2))
    gated = gate(model, torch.rand(1, 1, 4, 4), "fixed")
    architectures._close_half(gated)
    assert [int(one.expected().sum()) for one in gated.gates.values()] == [3, 2]


def test_a_share_says_what_stays_and_why() -> None:
    found = check(
        nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Linear(3, 2)), torch.rand(1, 1, 2, 2)
    )
    share = architectures._share(found)
    assert (share["groups"], share["layers"]) == (1, 2)
    assert share["macs_to_go"] == pytest.approx(1 - (4 + 2) / (12 + 6))
    assert list(share["stays"].values()) == [["2"]]


@pytest.mark.parametrize(
    "layer", [nn.Linear(3, 2), nn.Conv2d(3, 2, 1), nn.Conv2d(3, 3, 1, groups=3)]
)
def test_a_mask_is_what_the_layer_reads_through(layer: nn.Module) -> None:
    x = torch.rand(2, 3) if isinstance(layer, nn.Linear) else torch.rand(2, 3, 4, 4)
    without = x.clone()
    without[:, 1] = 0
    expected = layer(without)
    guard._mask(layer)[1] = 0
    torch.testing.assert_close(layer(x), expected)


class _Refusing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_a_model_that_the_rival_cannot_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_model: object, _x: object, _classes: int) -> object:
        raise KeyError(Path("x"))

    monkeypatch.setattr(guard, "_groups", broken)
    found = guard.halve(_Refusing(), torch.rand(1, 3), 2)
    assert (found.outcome, found.macs_gone) == ("refused", 0.0)
    assert found.why.startswith("KeyError")

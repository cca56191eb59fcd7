import json
from pathlib import Path
from typing import Any

import autoattack
import pytest
import torch
from torch import Tensor, nn

from advprune.data import Images
from advprune.threat import OutsideThreatError, ThreatModel

THREAT = ThreatModel(norm="linf", eps=0.3)
TASK = {"model": "abc"}


class Brightness(nn.Module):
    """Class 1 where the one pixel is above a half."""

    def forward(self, x: Tensor) -> Tensor:
        pixel = x.flatten(1)
        return torch.cat([1 - pixel, pixel], 1)


# Eight images of one pixel; the last is wrong from the start, those within 0.3 of 0.5 can fall.
PIXELS = torch.tensor([0.0, 0.1, 0.3, 0.4, 0.6, 0.7, 0.9, 0.95])
IMAGES = Images(
    x=PIXELS.view(-1, 1, 1, 1),
    y=torch.tensor([0, 0, 0, 0, 1, 1, 1, 0]),
    classes=("dark", "bright"),
    name="pixels",
)


REACH = {"apgd-ce": 0.0, "apgd-t": 0.15, "fab-t": 0.15, "square": 0.25}


class Scripted:
    """Moves each image by what its attack can, and may die at a call."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.calls: list[tuple[str, int]] = []
        self.dies_at = dies_at

    def __call__(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        if len(self.calls) == self.dies_at:
            raise KeyboardInterrupt
        self.calls.append((name, len(x)))
        away = torch.where(y == 0, 1.0, -1.0).view(-1, 1, 1, 1)
        return (x + REACH[name] * away).clamp(0, 1)


def run(attack: Any, state_file: Path, task: dict[str, Any] = TASK) -> dict[str, Any]:
    return autoattack.evaluate(
        Brightness(), IMAGES, THREAT, attack, batch=3, state_file=state_file, task=task
    )


def test_an_image_enters_an_attack_only_if_all_earlier_ones_left_it_right(tmp_path: Path) -> None:
    state = run(Scripted(), tmp_path / "state.json")
    assert state["clean"] == [0, 1, 2, 3, 4, 5, 6]
    entered = {name: done["entered"] for name, done in state["attacks"].items()}
    assert entered["apgd-ce"] == entered["apgd-t"] == [0, 1, 2, 3, 4, 5, 6]
    assert entered["fab-t"] == entered["square"] == [0, 1, 2, 5, 6]
    assert state["attacks"]["square"]["broken"] == [2, 5]


def test_figures_are_counts_over_all_images_with_exact_intervals(tmp_path: Path) -> None:
    figures = autoattack.figures(run(Scripted(), tmp_path / "state.json"), len(IMAGES))
    assert figures["clean"]["accuracy"] == 7 / 8
    assert figures["robust"]["accuracy"] == 3 / 8
    # Clopper and Pearson for 3 of 8, from printed tables
    assert figures["robust"]["interval_95"] == pytest.approx([0.0852, 0.7551], abs=5e-5)
    assert figures["attacks"]["apgd-t"]["survivors"] == 5
    assert figures["warnings"] == [
        "Square broke 25.00 points more than all white-box attacks before it"
    ]


@pytest.mark.parametrize("dies_at", range(9))
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, dies_at: int) -> None:
    whole = Scripted()
    expected = run(whole, tmp_path / "whole.json")
    killed, resumed = Scripted(dies_at), Scripted()
    with pytest.raises(KeyboardInterrupt):
        run(killed, tmp_path / "state.json")
    state = run(resumed, tmp_path / "state.json")
    assert killed.calls + resumed.calls == whole.calls
    for found in (state, expected):
        for done in found["attacks"].values():
            del done["seconds"]
    assert state == expected


def test_the_state_of_another_task_is_refused(tmp_path: Path) -> None:
    run(Scripted(), tmp_path / "state.json")
    with pytest.raises(ValueError, match="belongs to"):
        run(Scripted(), tmp_path / "state.json", task={"model": "other"})


def test_images_outside_the_threat_stop_the_run(tmp_path: Path) -> None:
    def cheat(name: str, x: Tensor, y: Tensor) -> Tensor:
        return 1 - x

    with pytest.raises(OutsideThreatError):
        run(cheat, tmp_path / "state.json")


def test_a_model_with_no_survivor_ends_without_a_call(tmp_path: Path) -> None:
    wrong = Images(IMAGES.x, 1 - IMAGES.y, IMAGES.classes, "wrong").subset(range(7))
    attack = Scripted()
    state = autoattack.evaluate(
        Brightness(), wrong, THREAT, attack, batch=3, state_file=tmp_path / "s.json", task=TASK
    )
    assert attack.calls == []
    assert autoattack.figures(state, len(wrong))["robust"]["accuracy"] == 0


def test_the_state_file_is_plain_json_after_every_batch(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Scripted(dies_at=2), tmp_path / "state.json")
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["attacks"]["apgd-ce"]["next"] == 6


def test_the_reference_runs_its_standard_budgets() -> None:
    pytest.importorskip("pyautoattack")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 10)).eval()
    attack = autoattack.reference(model, THREAT, seed=0)
    x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        y = model(x).argmax(1)
    x_adv = attack("apgd-ce", x, y)
    THREAT.audit(x_adv, x)
    assert (model(x_adv).argmax(1) != y).any()

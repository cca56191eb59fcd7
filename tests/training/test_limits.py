from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from advprune.evaluation import cost
from advprune.gates import GatedModel
from advprune.training import Trained, Training, checkpoint, limits, phases, snapshot
from advprune.training.state import Run

MakeSettings = Callable[..., Training]
MakeRun = Callable[[Training], Run]
WHOLE = 6 * 18
"""Multiply-accumulates: six units, each with 16 inputs and 2 outputs."""


def gated(milliseconds: float) -> dict[str, object]:
    budget = {"latency": milliseconds, "round_to": 1}
    return {"on": "gated", "objective": "anp", "attack": {"steps": 1}, "budget": budget}


@pytest.fixture(autouse=True)
def ten_milliseconds_whole(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A network takes time as it has multiply-accumulates; gives those of all that were timed."""
    timed: list[int] = []

    def measured(run: Run, gated: GatedModel, keep: Tensor) -> float:
        timed.append(gated.structure.macs(keep))
        return 10 * timed[-1] / WHOLE

    monkeypatch.setattr(limits, "milliseconds", measured)
    return timed


def test_a_latency_is_the_largest_share_that_is_as_quick(
    make_run: MakeRun, make_settings: MakeSettings, ten_milliseconds_whole: list[int]
) -> None:
    run = make_run(make_settings(gated(7.0)))
    share = limits.share(run, phases.first(run))
    assert 4 / 6 <= share < 5 / 6  # four units take 6.7 ms, five 8.3
    assert set(ten_milliseconds_whole) >= {4 * 18, 5 * 18, WHOLE}


def test_it_is_measured_once_and_a_resumed_run_keeps_it(
    make_run: MakeRun, make_settings: MakeSettings, ten_milliseconds_whole: list[int]
) -> None:
    run = make_run(make_settings(gated(5.0)))
    state = phases.first(run)
    share = limits.share(run, state)
    snapshot.save(run, state)
    measured, folder = len(ten_milliseconds_whole), checkpoint.latest(run.checkpoints)
    assert folder is not None
    assert limits.share(run, snapshot.resume(run, folder)) == share
    assert len(ten_milliseconds_whole) == measured


def test_training_ends_within_it(
    go: Callable[..., Trained], make_settings: MakeSettings, tmp_path: Path
) -> None:
    trained = go(make_settings(gated(5.0), {"on": "slim", "objective": "standard"}))
    assert cost(trained.model, torch.rand(1, 1, 4, 4)).macs == WHOLE / 2


def test_a_latency_of_no_network_is_refused_before_training(
    go: Callable[..., Trained], make_settings: MakeSettings
) -> None:
    told = r"phases\.phase-1\.budget\.latency = 1\.0 ms: the smallest network takes 1\.67 ms"
    with pytest.raises(ValueError, match=told):
        go(make_settings({"objective": "standard"}, gated(1.0)))


def test_a_network_is_really_timed(
    make_run: MakeRun, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    run = make_run(make_settings(gated(5.0)))
    keep = torch.arange(run.unpruned.units) < 2
    assert 0 < limits.milliseconds(run, run.gated, keep) < 1000

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from advprune.attacks import PGD, Square
from advprune.evaluation import SUITES, Result, evaluate
from advprune.evaluation.trial import Trial
from advprune.threat import ThreatModel

BATCHES = 12


def judged(folder: str | Path | None, eps: float = 0.1) -> Result:
    """A small evaluation of two attacks, twelve batches each."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 4))
    x = torch.rand(8 * BATCHES, 1, 8, 8)
    threat = ThreatModel("linf", eps)
    SUITES["small"] = lambda threat, *_: {
        "pgd": Trial(PGD(threat, steps=5, restarts=2), alone=True),
        "square": Trial(Square(threat, queries=100), alone=True, kind="black-box"),
    }
    try:
        return evaluate(
            model, (x, model(x).argmax(1)), threat, "small", batch_size=8, folder=folder
        )
    finally:
        del SUITES["small"]


def figures(result: Result) -> object:
    return {
        name: (one.accuracy, one.forward_passes, one.backward_passes)
        for name, one in result.attacks.items()
    }


def test_an_evaluation_that_was_killed_goes_on_and_finds_the_same(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, __file__, str(tmp_path)], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    until = time.monotonic() + 200
    while len(list(tmp_path.glob("*.safetensors"))) < 3 and child.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.safetensors")}
    assert 3 <= len(before) < 2 * BATCHES
    resumed, whole = judged(tmp_path), judged(None)
    assert torch.equal(resumed.survivors, whole.survivors)
    assert figures(resumed) == figures(whole)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


def test_a_folder_of_another_evaluation_is_refused(tmp_path: Path) -> None:
    judged(tmp_path)
    with pytest.raises(ValueError, match="batches of another evaluation"):
        judged(tmp_path, eps=0.2)


if __name__ == "__main__":
    judged(sys.argv[1])

"""`advprune run`, lived twice: in one go, and killed five times; prints JSON.

A process of its own, with one thread from its start, so that forking it is safe.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune import cli, data
from advprune.gates import gate
from advprune.recipes import run  # noqa: F401 - loaded before the first fork, for all lives
from advprune.training import checkpoint

KILLS = 5
RECIPE: dict[str, Any] = {
    "name": "lives",
    "data": {"name": "digits", "validation": 1437 - 192},
    "model": {"name": "lives:Net"},
    "threat": {"norm": "linf", "eps": 0.1},
    "gates": {"per_position": ["f1"]},
    "evaluation": {"suite": "paper", "examples": 5},
    "training": {
        "batch_size": 32,
        "validation_examples": 40,
        "validation_attack_steps": 2,
        "checkpoint_every": 2,
        "augment": "crop_flip",
        "threads": 1,
        "phases": [
            {
                "name": "dense",
                "objective": "madry",
                "epochs": 1,
                "schedule": "one_cycle",
                "learning_rate": 2e-2,
                "weight_perturbation": 0.01,
                "attack": {"replays": 3},
            },
            {
                "name": "gated",
                "on": "gated",
                "objective": "anp",
                "epochs": 4,
                "learning_rate": 2e-2,
                "gate_learning_rate": 0.35,
                "schedule": "cosine",
                "eps_warmup_epochs": 1,
                "kl_warmup_epochs": 1,
                "beta": 0.02,
                "kl_weighting": "macs",
                "vulnerability_weight": 0.1,
                "budget": {"macs": 0.3, "settled_at": 0.9},
                "remove_dead_after": 1,
                "average": 0.9,
                "attack": {"steps": 2, "on": "sampled", "precision": "bfloat16"},
            },
            {
                "name": "slim",
                "on": "slim",
                "objective": "adversarial",
                "epochs": 1,
                "average": 0.9,
                "gradient_clip": 1.0,
                "attack": {"steps": 2},
            },
        ],
    },
}


class Net(nn.Module):
    """Everything that draws or keeps something: convolutions, batch norm, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.f1 = nn.Linear(8 * 16, 16)
        self.dropout = nn.Dropout(0.1)
        self.f2 = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.bn(self.conv(x))), 2)
        x = self.dropout(functional.relu(self.f1(torch.flatten(x, 1))))
        logits: Tensor = self.f2(x)
        return logits


def live(out: Path) -> None:
    recipe = out.parent / "recipe.yaml"
    cli.main(["run", str(recipe), "--out", str(out), "--resume"], standalone_mode=False)


def born(out: Path, *, dawdling: bool) -> int:
    """Starts a life in a process of its own."""
    child = os.fork()
    if child:
        return child
    if dawdling:
        checkpoint._flush = _dawdle
    torch.manual_seed(time.time_ns())  # whatever the process drew before must not matter
    live(out)
    os._exit(0)


def _dawdle(path: Path) -> None:
    """In place of a flush: the files lie there half done, and the process waits for its end."""
    (path.parent.parent / "writing").touch()
    time.sleep(600)


def kill_when(child: int, ready: Callable[[], bool]) -> None:
    while not ready():
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            raise RuntimeError(f"the run ended with {status} before it could be killed")
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.2))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the run ended before it was killed"


def writing(out: Path) -> Callable[[], bool]:
    return (out / "checkpoints" / "writing").exists


def past(out: Path, before: Path | None) -> Callable[[], bool]:
    return lambda: checkpoint.latest(out / "checkpoints") != before


def outcome(out: Path) -> dict[str, object]:
    """Every bit of the last checkpoint, of the best network and of the one that is shipped.

    And the log, but for its seconds.
    """
    last = checkpoint.latest(out / "checkpoints")
    assert last is not None
    folders = {"last": last, "best": out / "checkpoints" / "best"}
    files = {name: folder / "tensors.safetensors" for name, folder in folders.items()}
    files["shipped"] = out / "model" / "model.safetensors"
    hashes = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
    rows = [line.rsplit(",", 1)[0] for line in (out / "metrics.csv").read_text().splitlines()]
    return {"folder": last.name, **hashes, "rows": rows}


def main(parent: Path) -> None:
    torch.set_num_threads(1)
    (parent / "recipe.yaml").write_text(json.dumps(RECIPE))
    gate(Net(), data.load("digits").train.tensors()[0][:2])  # loads what all lives need once
    assert os.waitpid(born(parent / "once", dawdling=False), 0)[1] == 0
    out = parent / "killed"
    for kill in range(KILLS):
        before = checkpoint.latest(out / "checkpoints")
        child = born(out, dawdling=kill == 2)
        kill_when(child, writing(out) if kill == 2 else past(out, before))
        if kill == 2:
            left = [path.name for path in (out / "checkpoints").glob(".unfinished-*")]
    assert os.waitpid(born(out, dawdling=False), 0)[1] == 0
    told = {"once": outcome(parent / "once"), "killed": outcome(out), "left": left}
    print("", json.dumps(told), sep="\n")  # on a line of its own, whatever the killed left


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A run directory as a small MNIST run would leave it, with made-up figures."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest

RECIPE = """\
name: mnist
data: {name: mnist, validation: 5000}
threat: {norm: linf, eps: 0.3}
"""
PGD = {"name": "PGD", "steps": 40, "restarts": 10, "step_size": 0.01, "loss": "margin"}
KEPT = {"conv1": [4, 20], "conv2": [23, 50], "f1": [71, 500]}


def network(*, robust: float, macs: int, scale: float) -> dict[str, Any]:
    rng = random.Random(0)
    units = {"conv1": 20, "conv2": 50, "f1": 500}
    return {
        "clean": 0.9905,
        "robust": robust,
        "robust_interval": [robust - 0.0057, robust + 0.0054],
        "attacks": {
            "fgsm": {"accuracy": robust + 0.03, "budget": {"name": "FGSM", "loss": "margin"}},
            "pgd": {"accuracy": robust, "alone": False, "budget": PGD},
        },
        "warnings": [],
        "vulnerability": {
            "network": 0.04 * scale,
            "relative": 0.11,
            "active_only": 0.05,
            "margin_weighted": 0.002,
            "layers": {"conv1": 0.05 * scale, "conv2": 0.03 * scale, "f1": 0.02 * scale},
            "features": {
                layer: [scale * max(0.0, rng.gauss(0.03, 0.03)) for _ in range(count)]
                for layer, count in units.items()
            },
        },
        "cost": {"parameters": macs // 5, "macs": macs, "activations": 9000, "bytes": macs},
        "latency": {"median_ms": 1.0, "p10_ms": 0.9, "p90_ms": 1.2, "batch": 1, "threads": 1},
        "widths": KEPT,
    }


RESULT: dict[str, Any] = {
    "schema": 1,
    "recipe": "mnist",
    "before": network(robust=0.9120, macs=2_293_000, scale=1.0),
    "after": network(robust=0.9131, macs=216_930, scale=0.4),
    "threat": {"norm": "linf", "eps": 0.3, "bounds": [0.0, 1.0]},
    "seed": 17,
    "data": {"name": "mnist", "split": "test"},
    "examples": 10000,
    "data_hash": "8e3f",
    "warnings": [
        {"name": "black box", "figure": 0.03, "threshold": 0.0, "text": "Transfer beats PGD."}
    ],
    "curve": [[0.0, 0.9905], [0.1, 0.97], [0.2, 0.95], [0.3, 0.913], [0.4, 0.3], [1.0, 0.0]],
    "environment": {"commit": "0b8f301", "torch": "2.13.0", "threads": 2},
}


def metrics_rows() -> list[dict[str, Any]]:
    """Three phases of four epochs with two rows each: dense, gated, slim."""
    rows = []
    for phase in ("pretrain", "prune", "finetune"):
        for row in range(8):
            done = row / 8
            left = {"pretrain": 1.0, "prune": 1 - 0.9 * done, "finetune": 0.1}[phase]
            rows.append(
                {
                    "phase": phase,
                    "epoch": row // 2,
                    "step": row,
                    "loss": 2 - done,
                    "clean_loss": 1 - done,
                    "adversarial_loss": 2.2 - done,
                    "validation_clean": 0.9 + done / 12 if row % 2 else "",
                    "validation_robust": 0.5 + done / 3 if row % 2 else "",
                    "active_units": int(1370 * left) if phase != "pretrain" else "",
                    "macs": int(2_293_000 * left),
                }
            )
    return rows


def write_run(folder: Path, result: dict[str, Any]) -> Path:
    rows = metrics_rows()
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "result.json").write_text(json.dumps(result))
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="session")
def standard_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory that tests only read."""
    return write_run(tmp_path_factory.mktemp("standard"), RESULT)


@pytest.fixture
def result() -> dict[str, Any]:
    """A deep copy of the figures, to be changed at will."""
    copy: dict[str, Any] = json.loads(json.dumps(RESULT))
    return copy


@pytest.fixture
def run_dir(tmp_path: Path, result: dict[str, Any]) -> Path:
    return write_run(tmp_path / "run", result)

"""What a finished run left in its directory, read into plain values."""

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

NETWORKS = {
    "dense": "dense",
    "before": "gated, before slimming",
    "after": "slim, as shipped",
}
"""Keys of ``result.json`` that hold a network's figures, in order, with what people call them."""


@dataclass(frozen=True)
class Metrics:
    """The columns of ``metrics.csv``: one value a row, NaN where the row has none.

    Attributes:
        phases: Name of each row's phase.
        columns: Every numeric column by its name.
    """

    phases: list[str]
    columns: dict[str, list[float]]

    def has(self, name: str) -> bool:
        """Whether the column holds any value."""
        return any(not math.isnan(value) for value in self.columns.get(name, []))

    def epochs(self) -> list[float]:
        """Epochs trained when each row was written, counted on through all phases.

        Rows of one epoch are spread evenly over it, so that steps and epochs plot alike.
        """
        ends: list[float] = []
        keys = list(zip(self.phases, self.columns.get("epoch", []), strict=False))
        done, start = 0, 0
        for row, key in enumerate(keys):
            if row + 1 == len(keys) or keys[row + 1] != key:
                rows = row + 1 - start
                ends += [done + (i + 1) / rows for i in range(rows)]
                done, start = done + 1, row + 1
        return ends


@dataclass(frozen=True)
class RunFiles:
    """Everything that the report is made of.

    Attributes:
        recipe: The resolved recipe's text, "" where there is none.
        metrics: The training curves; empty where there are none.
        result: The figures, as in ``result.json``.
    """

    recipe: str
    metrics: Metrics
    result: dict[str, Any]

    def networks(self) -> dict[str, dict[str, Any]]:
        """Figures of each network that was evaluated, in the order of ``NETWORKS``."""
        return {key: self.result[key] for key in NETWORKS if self.result.get(key)}


def dig(tree: Any, *keys: str) -> Any:
    """The value under ``keys``, or None where any of them is missing."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def read(run_dir: Path) -> RunFiles:
    """Reads a run directory; only ``result.json`` must be there.

    Raises:
        ValueError: If ``result.json`` is missing, is no JSON object or holds no network's figures.
    """
    path = run_dir / "result.json"
    if not path.is_file():
        raise ValueError(f"{run_dir} holds no result.json: give the directory of a finished run")
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not any(isinstance(dig(result, key), dict) for key in NETWORKS):
        raise ValueError(f"{path} holds no figures: expected one of {', '.join(NETWORKS)}")
    recipe = run_dir / "recipe.yaml"
    return RunFiles(
        recipe=recipe.read_text(encoding="utf-8") if recipe.is_file() else "",
        metrics=_read_metrics(run_dir / "metrics.csv"),
        result=result,
    )


def recipe_settings(text: str) -> dict[str, Any]:
    """The recipe as a mapping; empty when its text is none."""
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return settings if isinstance(settings, dict) else {}


def _read_metrics(path: Path) -> Metrics:
    if not path.is_file():
        return Metrics(phases=[], columns={})
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        names = [name for name in reader.fieldnames or [] if name != "phase"]
    return Metrics(
        phases=[row.get("phase") or "" for row in rows],
        columns={name: [_number(row.get(name)) for row in rows] for name in names},
    )


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan

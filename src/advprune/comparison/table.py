"""One line a recipe: mean and spread over its seeds of every figure that a run leaves."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from advprune.comparison.front import on_front
from advprune.comparison.plan import PlannedRun

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A figure of the table.

    Attributes:
        key: Its name in the CSV.
        title: Its name for people, with the unit.
        read: From a run's ``result.json``; None where the run has none.
        digits: Decimals that are shown.
        scale: What the figure is multiplied by to be in the title's unit.
    """

    key: str
    title: str
    read: Callable[[Result], float | None]
    digits: int = 2
    scale: float = 1.0


@dataclass(frozen=True)
class Figure:
    """Mean and sample standard deviation (None of a single run) over seeds, in a column's unit."""

    mean: float
    std: float | None

    def text(self, digits: int) -> str:
        """For people, such as ``98.42 ± 0.10``."""
        spread = "" if self.std is None else f" ± {self.std:,.{digits}f}"
        return f"{self.mean:,.{digits}f}{spread}"


@dataclass(frozen=True)
class Row:
    """A recipe's line.

    Attributes:
        name: Of the recipe.
        runs: How many of its runs are done.
        planned: How many there are.
        figures: By the key of their column; only those that its runs have.
        on_front: Whether no other recipe is both at least as robust and at least as small, and
            better in one of the two.
    """

    name: str
    runs: int
    planned: int
    figures: Mapping[str, Figure]
    on_front: bool


def _at(*keys: str) -> Callable[[Result], float | None]:
    def read(result: Result) -> float | None:
        value: Any = result["after"]
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return None if value is None else float(value)

    return read


def _attack(start: str) -> Callable[[Result], float | None]:
    """The lowest accuracy that attacks of that kind leave, each by itself."""

    def read(result: Result) -> float | None:
        attacks = result["after"]["attacks"].items()
        found = [attack["accuracy"] for name, attack in attacks if name.startswith(start)]
        return float(min(found)) if found else None

    return read


def _autoattack(result: Result) -> float | None:
    """What AutoAttack leaves: beside the run's suite, or as the suite itself."""
    after = result["after"]
    found = after.get("autoattack", after if after["suite"] == "standard" else None)
    return None if found is None else float(found["robust"])


def _unit_sparsity(result: Result) -> float | None:
    widths = result["after"].get("widths")
    if not widths:
        return None
    kept, total = (sum(pair[side] for pair in widths.values()) for side in (0, 1))
    return float(1 - kept / total)


def _latency(result: Result) -> float | None:
    return float(result["after"]["latency"][0]["median_ms"])


def _cpu_seconds(result: Result) -> float | None:
    """Where other work shares the machine, only these say what training took."""
    seconds = result["training"].get("cpu_seconds")
    return None if seconds is None else float(seconds)


COLUMNS = (
    Column("clean", "clean %", _at("clean"), scale=100),
    Column("pgd", "PGD %", _attack("pgd"), scale=100),
    Column("autoattack", "AutoAttack %", _autoattack, scale=100),
    Column("robust", "worst case %", _at("robust"), scale=100),
    Column("transfer", "transfer %", _attack("transfer:"), scale=100),
    Column("vulnerability", "V", _at("vulnerability", "network"), digits=4),
    Column("relative", "V relative", _at("vulnerability", "relative"), digits=3),
    Column("margin_weighted", "V margin", _at("vulnerability", "margin_weighted")),
    Column("unit_sparsity", "units cut %", _unit_sparsity, digits=1, scale=100),
    Column("parameters", "parameters", _at("cost", "parameters"), digits=0),
    Column("macs", "MACs", _at("cost", "macs"), digits=0),
    Column("bytes", "kB", _at("cost", "bytes"), digits=1, scale=1e-3),
    Column("latency", "ms, 1 image", _latency, digits=3),
    Column("seconds", "training s", lambda result: float(result["training"]["seconds"]), digits=0),
    Column("cpu_seconds", "training CPU s", _cpu_seconds, digits=0),
)


def rows(runs: Sequence[PlannedRun]) -> list[Row]:
    """The table of all runs that are done, in the order of the recipes.

    A recipe none of whose runs is done has a row without figures.
    """
    planned: dict[str, list[PlannedRun]] = {}
    for run in runs:
        planned.setdefault(run.row, []).append(run)
    found = {
        name: [read(run) for run in own if run.state == "done"] for name, own in planned.items()
    }
    figures = {name: _figures(results) for name, results in found.items()}
    front = on_front(
        {
            name: (own["robust"].mean, own["macs"].mean)
            for name, own in figures.items()
            if {"robust", "macs"} <= own.keys()
        }
    )
    return [
        Row(name, len(found[name]), len(planned[name]), figures[name], name in front)
        for name in planned
    ]


def read(run: PlannedRun) -> Result:
    """What a run that is done has found."""
    result: Result = json.loads((run.folder / "result.json").read_text(encoding="utf-8"))
    return result


def _figures(results: Iterable[Result]) -> dict[str, Figure]:
    found = {}
    for column in COLUMNS:
        values = [value for value in map(column.read, results) if value is not None]
        if values:
            scaled = [column.scale * value for value in values]
            found[column.key] = Figure(mean(scaled), stdev(scaled) if len(scaled) > 1 else None)
    return found

"""What of each architecture of the test kit can be pruned, and how Torch-Pruning fares on it.

    python benchmarks/architectures.py measure
    .venv-bench/bin/python benchmarks/architectures.py rival
    python benchmarks/architectures.py page

`measure` checks every network of tests/architectures and halves it by random gates, `rival` halves
it by Torch-Pruning, both in double precision and on the same weights; `measure` also compares the
halved network's ONNX file with it. `page` writes what they found into docs/architectures.md. Given
names, `measure` and `rival` do it for those and keep the rows of the others; each row says its
commit. The networks are small, so the times say what an analysis takes, not what pruning gains.
"""

import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import pages
import torch
from machine import machine
from torch import Tensor, nn
from torch_pruning_guard import Halved, halve

from advprune.evaluation import Check, cost, write_json
from advprune.evaluation.prunable import examine
from advprune.gates import GatedModel, gate
from advprune.pruning import slim
from advprune.shipping import export
from advprune.structure.contract import check_alone

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # the kit is part of the tests

RESULTS = ROOT / "benchmarks" / "results" / "architectures"
PAGE = ROOT / "docs" / "architectures.md"
CLASSES = 4
OUTCOMES = ("exact", "refused", "whole", "broken", "wrong")


@click.group()
def main() -> None:
    """Tries every architecture of the test kit."""


@main.command()
@click.argument("names", nargs=-1)
def measure(names: tuple[str, ...]) -> None:
    """Checks and halves every architecture, or those named, by advprune."""
    _write("advprune", names, _halved_here)


@main.command()
@click.argument("names", nargs=-1)
def rival(names: tuple[str, ...]) -> None:
    """Halves every architecture, or those named, by Torch-Pruning."""
    _write("torch-pruning", names, _halved_there, "torch-pruning")


@main.command()
def page() -> None:
    """Writes the tables of docs/architectures.md."""
    own, other = (json.loads((RESULTS / f"{name}.json").read_text()) for name in _FILES)
    pages.put(PAGE, _tables(own, other).removesuffix("\n"))


_FILES = ("advprune", "torch-pruning")
Found = tuple[Halved, dict[str, Any]]


def _write(
    name: str,
    names: tuple[str, ...],
    halved: Callable[[nn.Module, Tensor], Found | None],
    *packages: str,
) -> None:
    from tests.architectures.kit import ARCHITECTURES

    torch.set_num_threads(1)
    place, here = RESULTS / f"{name}.json", machine(*packages)
    rows = _kept(place) if names else {}
    for each in [ARCHITECTURES[one] for one in names or ARCHITECTURES]:
        model, x = each.model().double(), each.images().double()
        start = time.process_time()
        if (both := halved(model, x)) is None:
            click.echo(f"{each.name}: nothing to compare")
            continue
        found, more = both
        seconds = time.process_time() - start
        if name == "advprune" and found.outcome == "exact":
            more |= _in_onnx(more.pop("small"), x)
        own = {"seconds": seconds, "commit": here["commit"], **more}
        rows[each.name] = {**asdict(found), **own}
        click.echo(f"{each.name}: {found.outcome} {found.why}")
    rows = {one: rows[one] for one in ARCHITECTURES if one in rows}
    click.echo(write_json(place, {**here, "rows": rows}))


def _kept(place: Path) -> dict[str, Any]:
    """Returns the rows of a file; one that does not say its commit is of the file's."""
    found = json.loads(place.read_text())
    return {name: {"commit": found["commit"], **row} for name, row in found["rows"].items()}


def _halved_here(model: nn.Module, x: Tensor) -> Found:
    try:
        gated = gate(model, x, "fixed").eval()
    except ValueError as refusal:
        return Halved("refused", 0.0, _without_folder(str(refusal))), {}
    size = cost(model, x)
    more = _share(examine(gated, size))
    _close_half(gated)
    small = slim(gated, x)  # raises where it is not exact
    return Halved("exact", 1 - cost(small, x).macs / size.macs), {**more, "small": small}


def _halved_there(model: nn.Module, x: Tensor) -> Found | None:
    """Halves what is a classifier of single images; None for what the guard could not judge."""
    try:
        check_alone(model, x)
    except ValueError:
        return None
    return halve(model, x, CLASSES), {}


def _in_onnx(small: nn.Module, x: Tensor) -> dict[str, Any]:
    """How far the file's logits are off, as a share of the largest; the words where it has none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return {"onnx": export(small.float(), f"{folder}/a.onnx", x.float()).parity.relative}
        except ValueError as error:
            return {"onnx": _without_folder(str(error))}


def _without_folder(text: str) -> str:
    """No folder of the machine is given away."""
    return text.replace(f"{ROOT}/", "")


def _close_half(gated: GatedModel) -> None:
    generator = torch.Generator().manual_seed(0)
    for one in gated.gates.values():
        closed = torch.zeros(one.units, dtype=torch.bool)
        closed[torch.randperm(one.units, generator=generator)[: one.units // 2]] = True
        one.close(closed)


def _share(found: Check) -> dict[str, Any]:
    stays: dict[str, list[str]] = {}
    for layer in found.layers:
        if layer.blocked:
            stays.setdefault(_without_folder(layer.blocked), []).append(layer.name)
    return {
        "groups": len(found.groups),
        "layers": len(found.layers),
        "stays": stays,
        "parameters_to_go": found.parameters_to_go / found.parameters,
        "macs_to_go": found.macs_to_go / found.macs,
    }


def _tables(own: dict[str, Any], other: dict[str, Any]) -> str:
    every, other_rows = own["rows"], other["rows"]
    own_rows = {name: every[name] for name in other_rows}
    lines = [
        "## What can be pruned",
        "",
        "| architecture | layers | groups | parameters % | MACs % | ONNX | what stays, and why |",
        "|---|---:|---:|---:|---:|---:|---|",
        *(_prunable(name, row) for name, row in every.items() if row["outcome"] != "refused"),
        "",
        "## What is refused",
        "",
        "| architecture | why |",
        "|---|---|",
        *(_refused(name, row) for name, row in every.items() if row["outcome"] == "refused"),
        "",
        "## Beside Torch-Pruning",
        "",
        _made_by(own, other),
        "",
        "| | " + " | ".join(OUTCOMES) + " | median s |",
        "|---|" + "---:|" * (len(OUTCOMES) + 1),
        _counted("advprune", own_rows),
        _counted("Torch-Pruning", other_rows),
        "",
        _where(own_rows, other_rows, 0.0, "Cut exactly by Torch-Pruning alone"),
        "",
        _where(own_rows, other_rows, 0.02, "Cut by two points more by Torch-Pruning, exactly"),
        "",
        "| architecture | advprune | MACs gone % | s | Torch-Pruning | MACs gone % | s | why |",
        "|---|---|---:|---:|---|---:|---:|---|",
        *(_beside(name, row, other_rows[name]) for name, row in own_rows.items()),
    ]
    return "\n".join(lines) + "\n"


def _made_by(own: dict[str, Any], other: dict[str, Any]) -> str:
    rival = f"Torch-Pruning {other['packages']['torch-pruning']}"
    seconds = "one thread; seconds of the processor, on a machine that did other work beside it"
    commits: dict[str, list[str]] = {}
    for name, row in own["rows"].items():
        commits.setdefault(row.get("commit", own["commit"]), []).append(name)
    first, *later = sorted(commits, key=lambda commit: -len(commits[commit]))
    others = "".join(f" ({', '.join(commits[commit])} at {commit})" for commit in later)
    return f"advprune at {first}{others}, {rival}; {own['processor']}, {seconds}."


def _prunable(name: str, row: dict[str, Any]) -> str:
    stays = "; ".join(f"{', '.join(names)}: {why}" for why, names in row["stays"].items())
    shares = f"{100 * row['parameters_to_go']:.1f} | {100 * row['macs_to_go']:.1f}"
    onnx = row.get("onnx", "")
    off = f"{onnx:.0e}" if isinstance(onnx, float) else _cell(onnx)
    return f"| {name} | {row['layers']} | {row['groups']} | {shares} | {off} | {_cell(stays)} |"


def _refused(name: str, row: dict[str, Any]) -> str:
    return f"| {name} | {_cell(row['why'])} |"


def _counted(title: str, rows: dict[str, Any]) -> str:
    counts = Counter(row["outcome"] for row in rows.values())
    seconds = sorted(row["seconds"] for row in rows.values())[len(rows) // 2]
    found = " | ".join(str(counts[outcome]) for outcome in OUTCOMES)
    return f"| {title} | {found} | {seconds:.2f} |"


def _where(own: dict[str, Any], other: dict[str, Any], more: float, title: str) -> str:
    """Names the networks that only the other cuts, or those of which it cuts more."""
    names = [
        name
        for name, row in other.items()
        if row["outcome"] == "exact"
        and (own[name]["outcome"] == "exact") == bool(more)
        and row["macs_gone"] > own[name]["macs_gone"] + more
    ]
    return f"{title}: {', '.join(names) or 'none'}."


def _beside(name: str, own: dict[str, Any], other: dict[str, Any]) -> str:
    cells = (
        f"{row['outcome']} | {100 * row['macs_gone']:.1f} | {row['seconds']:.2f}"
        for row in (own, other)
    )
    return f"| {name} | {' | '.join(cells)} | {_cell(other['why'])} |"


def _cell(text: str) -> str:
    """One line, without the folders that a place in the code was found in."""
    text = re.sub(r'"(?:[^"]*/)?([^"/]+)"(?=, line)', r"\1", text)
    words = (word.rpartition("/")[2] if word.count("/") > 1 else word for word in text.split())
    return " ".join(words).replace("|", "\\|")


if __name__ == "__main__":
    main()

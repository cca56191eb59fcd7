"""Defences that are known to fall, on digits: what PGD, the checks and an attack on each say.

    python benchmarks/defences.py --out benchmarks/results/defences.json

Each network is trained on the digits' training images as its defence demands; its undefended twin
stands in the first row. *plain PGD* is PGD-40 with the cross-entropy, *quick* the suite of that
name with its checks; *adaptive* is each image's worst case over PGD-40 with the cross-entropy, with
the margin, ten starts each, and Square, on the model as it is and with the defence's stand-ins
(BPDA); from one start and averaged over draws where it is random (EOT). Accuracies of random models
are means over 20 draws; they meet the adaptive attacks three times, with noise of its own each.

Stopped, the same command at the same commit goes on with the next row.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import click
import torch
from known_defences import (
    AT_ONCE,
    EPOCHS,
    NEIGHBOURS,
    RATE,
    ROWS,
    Trained,
    build,
)
from machine import machine
from torch import Tensor, nn

from advprune.attacks import EOT, PGD, Attack, Square, backward_as
from advprune.data import load
from advprune.data.splitting import stratified
from advprune.defences import stability
from advprune.evaluation import Spread, evaluate, spread, write_json
from advprune.threat import ThreatModel

DRAWS, SAMPLES, QUERIES, TIMES, RESTARTS = 20, 5, 300, 3, 10


def right(model: nn.Module, x: Tensor, y: Tensor, draws: int) -> Tensor:
    """How often each image is answered rightly, (batch,)."""
    with torch.no_grad():
        return torch.stack([model(x).argmax(1) == y for _ in range(draws)]).float().mean(0)


def adaptive(trained: Trained, x: Tensor, y: Tensor, threat: ThreatModel, seed: int) -> float:
    """Accuracy after the attacks made for the defence: each image's worst case."""
    generator = torch.Generator().manual_seed(seed)
    draws = DRAWS if trained.random else 1
    left = right(trained.model, x, y, draws)
    for stand_ins in ({}, trained.stand_ins) if trained.stand_ins else ({},):
        with backward_as(trained.model, stand_ins):
            for attack in attacks(threat, trained):
                x_adv = attack(trained.model, x, y, generator=generator)
                left = torch.minimum(left, right(trained.model, x_adv, y, draws))
    return left.mean().item()


def attacks(threat: ThreatModel, trained: Trained) -> list[Attack]:
    """PGD-40 with both losses and Square; from one start, as means over draws, on random models."""
    random = trained.random
    restarts = 1 if random else RESTARTS
    pgd = partial(PGD, threat, steps=40, restarts=restarts, stop_when_fooled=not random)
    plain = [pgd(loss="cross_entropy"), pgd(loss="margin"), Square(threat, queries=QUERIES)]
    return [EOT(attack, samples=SAMPLES) for attack in plain] if random else plain


def judge(trained: Trained, x: Tensor, y: Tensor, threat: ThreatModel) -> dict[str, Any]:
    """Every figure of a row."""
    draws = DRAWS if trained.random else 1
    plain = PGD(threat, steps=40)
    result = evaluate(trained.model, (x, y), threat)
    left = [adaptive(trained, x, y, threat, seed) for seed in range(TIMES if trained.random else 1)]
    return {
        "clean": right(trained.model, x, y, draws).mean().item(),
        "plain": right(trained.model, plain(trained.model, x, y), y, draws).mean().item(),
        "quick": result.robust,
        "adaptive": mean(left),
        "spread": asdict(spread(left)) if trained.random else None,
        "warnings": [asdict(finding) for finding in result.warnings],
        "attacks": [attack.describe() for attack in attacks(threat, trained)],
        "budgets": {name: figure.budget for name, figure in result.attacks.items()},
    }


def bounds(points: Tensor, x: Tensor, threat: ThreatModel) -> dict[str, list[float]]:
    """Bounds on how far the second eigenvector moves, by the radius in L2, of some images."""
    whole = threat.eps * x[0].numel() ** 0.5
    return {
        f"{radius:.3f}": [stability(points, image[None], NEIGHBOURS, radius) for image in x]
        for radius in (whole, whole / 10)
    }


def named(row: Mapping[str, Any], level: str) -> str:
    """The names of a level's findings."""
    names = [found["name"] for found in row["warnings"] if found["level"] == level]
    return ", ".join(names) or "none"


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| defence | clean % | plain PGD-40 % | quick % | adaptive % | alarms | warnings |",
        "|---|---:|---:|---:|---:|---|---|",
    ]
    for name in (name for name in ROWS if name in rows):
        row = rows[name]
        shares = [f"{100 * row[key]:.1f}" for key in ("clean", "plain", "quick")]
        left = Spread(**row["spread"]) if row["spread"] else f"{100 * row['adaptive']:.1f}"
        cells = [name, *shares, str(left), named(row, "alarm"), named(row, "warning")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def begun(out: Path, header: Mapping[str, Any]) -> dict[str, Any]:
    """What a file holds of the same run, else nothing but the header."""
    if out.is_file():
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        if all(found.get(key) == value for key, value in header.items()):
            return found
    return {**header, "rows": {}}


@click.command(help=__doc__)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--images", "number", default=40, show_default=True, help="Random test images.")
@click.option("--eps", default="0.1", show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--only", multiple=True, type=click.Choice(list(ROWS)), help="Only these rows, now.")
def main(out: Path, number: int, eps: str, seed: int, only: tuple[str, ...]) -> None:
    """See the module's text."""
    torch.set_num_threads(1)
    digits, threat = load("digits", validation=0), ThreatModel("linf", eps)
    x, y = digits.train.tensors()
    chosen = digits.test.subset(stratified(digits.test.y, number, seed)[1])
    test, labels = chosen.tensors()
    header = {
        "benchmark": "defences of others on digits",
        "threat": {"norm": threat.norm, "eps": threat.eps},
        "images": {"name": digits.test.name, "number": number},
        "data": chosen.fingerprint(),
        "training": {"epochs": EPOCHS, "batch": AT_ONCE, "rate": RATE},
        "seed": seed,
        "draws": DRAWS,
        "times": TIMES,
        "machine": machine(),
    }
    report = begun(out, header)
    for name in only or ROWS:
        if name not in report["rows"]:
            report["rows"][name] = judge(build(name, x, y, seed, threat), test, labels, threat)
            write_json(out, report)
        click.echo(table({name: report["rows"][name]}).splitlines()[-1])
    if only:
        return
    report["spectral_bounds"] = bounds(x, test[:2], threat)
    write_json(out, report)
    click.echo(table(report["rows"]))
    click.echo(report["spectral_bounds"])


if __name__ == "__main__":
    main()

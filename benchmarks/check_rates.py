"""How often the checks speak, on small digits networks that are plain and that hide gradients.

    python benchmarks/check_rates.py --out benchmarks/results/check_rates.json

Networks of `known_defences.py` with seeds that no threshold was chosen on; each meets the suite
`quick` on random test images. A network counts as plain where its gradients are its own and lead
uphill, robust or not. For each check: the share of plain networks at which it warns or alarms, and
of those that hide gradients.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import torch
from known_defences import EPOCHS, build
from machine import machine

from advprune.data import load
from advprune.data.splitting import stratified
from advprune.evaluation import evaluate, write_json
from advprune.evaluation.checks import CHECKS
from advprune.threat import ThreatModel

PLAIN = ("undefended", "PGD-5 training")
HIDING = ("bit depth 1", "bit depth 2", "thermometer 16", "resize and pad", "activation pruning")

Levels = Mapping[str, str]
"""Check → level, of one network."""


def share(networks: Sequence[Levels], check: str, levels: tuple[str, ...]) -> float:
    """Share of the networks at which a check speaks so loudly."""
    return sum(found.get(check) in levels for found in networks) / len(networks)


def any_alarm(networks: Sequence[Levels]) -> float:
    """Share of the networks with at least one alarm."""
    return sum("alarm" in found.values() for found in networks) / len(networks)


def rates(networks: Mapping[str, Sequence[Levels]]) -> dict[str, dict[str, float]]:
    """Check → share of networks that it warns of or alarms at, by kind of network."""
    return {
        check: {
            f"{kind}, {label}": share(found, check, levels)
            for kind, found in networks.items()
            for label, levels in (("alarm", ("alarm",)), ("any", ("warning", "alarm")))
        }
        for check in CHECKS
    }


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """The rates as Markdown."""
    headings = list(next(iter(found.values())))
    lines = [f"| check | {' | '.join(f'{heading} %' for heading in headings)} |"]
    lines.append("|---|" + "---:|" * len(headings))
    for check, row in found.items():
        lines.append(f"| {check} | {' | '.join(f'{100 * row[h]:.0f}' for h in headings)} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--images", "number", default=100, show_default=True, help="Random test images.")
@click.option("--eps", default="0.1", show_default=True)
@click.option("--plain-seeds", default=5, show_default=True, help="Of each plain network.")
@click.option("--hiding-seeds", default=2, show_default=True, help="Of each other network.")
@click.option("--first-seed", default=10, show_default=True)
def main(
    out: Path, number: int, eps: str, plain_seeds: int, hiding_seeds: int, first_seed: int
) -> None:
    """See the module's text."""
    torch.set_num_threads(1)
    digits, threat = load("digits", validation=0), ThreatModel("linf", eps)
    chosen = digits.test.subset(stratified(digits.test.y, number, first_seed)[1])
    x, y = digits.train.tensors()
    judged: list[dict[str, Any]] = []
    networks: dict[str, list[Levels]] = {"plain": [], "hiding": []}
    kinds = {"plain": (PLAIN, plain_seeds), "hiding": (HIDING, hiding_seeds)}
    for kind, (names, seeds) in kinds.items():
        for name in names:
            for seed in range(first_seed, first_seed + seeds):
                trained = build(name, x, y, seed, threat)
                result = evaluate(trained.model, chosen, threat, seed=seed)
                levels = {finding.name: str(finding.level) for finding in result.warnings}
                figures = {finding.name: finding.figure for finding in result.warnings}
                networks[kind].append(levels)
                judged.append(
                    {"name": name, "kind": kind, "seed": seed, "robust": result.robust}
                    | {"levels": levels, "figures": figures}
                )
                click.echo(f"{name}, seed {seed}: {result.robust:.3f} {levels}")
    found = rates(networks)
    report = {
        "benchmark": "rates of the checks on small digits networks",
        "threat": {"norm": threat.norm, "eps": threat.eps},
        "suite": "quick",
        "images": {"name": digits.test.name, "number": number, "data": chosen.fingerprint()},
        "training": {"epochs": EPOCHS},
        "any alarm": {kind: any_alarm(levels) for kind, levels in networks.items()},
        "rates": found,
        "networks": judged,
        "machine": machine(),
    }
    write_json(out, report)
    click.echo(table(found))
    click.echo(report["any alarm"])


if __name__ == "__main__":
    main()

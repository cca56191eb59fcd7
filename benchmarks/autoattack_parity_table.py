"""The table of all results of `autoattack_parity.py`, as Markdown.

python benchmarks/autoattack_parity_table.py
"""

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import click

RESULTS = Path(__file__).parent / "results" / "parity"
HEAD = ("network", "norm, eps", "attack", "runs", "reference leaves", "ours leaves", "points")


@click.command(help=__doc__)
def main() -> None:
    """See the module's text."""
    lines: list[tuple[str, ...]] = [HEAD, ("---",) * 3 + ("---:",) * 4]
    for path in sorted(RESULTS.glob("*.json")):
        report = json.loads(path.read_text("utf-8"))
        lines += [_line(report, name, row["runs"]) for name, row in report["results"].items()]
    click.echo("\n".join(f"| {' | '.join(line)} |" for line in lines))


def _line(report: dict[str, Any], name: str, runs: list[dict[str, Any]]) -> tuple[str, ...]:
    threat, right = report["threat"], report["data"]["right"]
    sides = [[run["survivors"][side] for run in runs] for side in ("reference", "ours")]
    points = [run["points"] for run in runs]
    error = f" ± {stdev(points) / len(points) ** 0.5:.2f}" if len(points) > 1 else ""
    return (
        report["model"].removeprefix("small:"),
        f"{threat['norm']} {threat['eps']:g}",
        name,
        str(len(runs)),
        *(f"{mean(side):.1f} of {right}" for side in sides),
        f"{mean(points):+.2f}{error}",
    )


if __name__ == "__main__":
    main()

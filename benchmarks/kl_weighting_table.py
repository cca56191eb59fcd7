"""The table and picture of `kl_weighting.py`: means over seeds, and differences at equal MACs."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import ttest_1samp  # type: ignore[import-untyped]

from advprune.report.pictures import LINES, in_decades, svg

WEIGHTINGS = {"units": "not weighed", "macs": "by MACs", "latency": "by latency"}
PICTURE = Path(__file__).parents[1] / "docs" / "kl-weighting.svg"
ALONE = (
    'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" color="#6e7781"'
)
"""What a picture needs outside a page."""
HEADS = ("network", "KL", "beta", "clean %", "PGD-20 %", "MACs, thousands", "ms, 1", "ms, 100")
GAIN_HEADS = ("network", "KL", "clean, points", "p", "PGD-20, points", "p", "seeds")


@dataclass(frozen=True)
class Curve:
    """One network and weighting: by seed, the points from beta 0 on, MACs falling."""

    network: str
    weighting: str
    seeds: dict[int, list[dict[str, Any]]]

    def betas(self) -> list[float]:
        """The weights of the KL, ascending."""
        return sorted({point["beta"] for points in self.seeds.values() for point in points})

    def values(self, beta: float, key: str) -> list[float]:
        """One figure of each seed that has it."""
        points = [point for points in self.seeds.values() for point in points]
        return [point[key] for point in points if point["beta"] == beta and key in point]


def read(results: Path) -> list[Curve]:
    """All curves that are there, with the latency of their points where it was measured."""
    times = _times(results)
    points = [
        json.loads(path.read_text("utf-8")) | times.get(path.stem, {})
        for path in sorted(results.glob("*-[0-9].json"))
    ]
    return [
        Curve(network, weighting, seeds)
        for network in sorted({point["network"] for point in points})
        for weighting in WEIGHTINGS
        if (seeds := _seeds(points, network, weighting))
    ]


def _times(results: Path) -> dict[str, dict[str, float]]:
    times: dict[str, dict[str, float]] = {}
    for path in results.glob("latency-*.json"):
        for batch, networks in json.loads(path.read_text("utf-8"))["batches"].items():
            for name, timed in networks.items():
                times.setdefault(name, {})[f"ms, {batch}"] = timed["median_ms"]
    return times


def _seeds(
    points: list[dict[str, Any]], network: str, weighting: str
) -> dict[int, list[dict[str, Any]]]:
    """Of the seeds that have more than beta 0, which all weightings share."""
    curves: dict[int, list[dict[str, Any]]] = {}
    for point in sorted(points, key=lambda point: -point["macs"]):
        if point["network"] == network and (point["weighting"] == weighting or not point["beta"]):
            curves.setdefault(point["seed"], []).append(point)
    return {seed: curve for seed, curve in sorted(curves.items()) if len(curve) > 1}


def as_markdown(curves: list[Curve]) -> str:
    """The table of all points, and the one of what weighing brings at equal MACs."""
    rows = [_row(curve, beta) for curve in curves for beta in curve.betas()]
    plain = {curve.network: curve for curve in curves if curve.weighting == "units"}
    others = [curve for curve in curves if curve.weighting != "units" and curve.network in plain]
    gains = [_gains(curve, plain[curve.network]) for curve in others]
    return "\n\n".join((_table(HEADS, rows), _table(GAIN_HEADS, gains)))


def _table(heads: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [list(heads), ["---", "---", *("---:" for _ in heads[2:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(curve: Curve, beta: float) -> list[str]:
    milliseconds = [curve.values(beta, key) for key in HEADS[-2:]]
    return [
        curve.network,
        WEIGHTINGS[curve.weighting],
        f"{beta:g}",
        _spread([100 * value for value in curve.values(beta, "clean")]),
        _spread([100 * value for value in curve.values(beta, "robust")]),
        _spread([value / 1000 for value in curve.values(beta, "macs")], digits=0),
        *(f"{mean(values):.2f}" if values else "" for values in milliseconds),
    ]


def _gains(curve: Curve, plain: Curve) -> list[str]:
    fields = [curve.network, WEIGHTINGS[curve.weighting]]
    for key in ("clean", "robust"):
        gains = [
            100 * found
            for seed in curve.seeds.keys() & plain.seeds.keys()
            if (found := gain(curve.seeds[seed], plain.seeds[seed], key)) is not None
        ]
        sure = f"{ttest_1samp(gains, 0).pvalue:.2f}" if len(gains) > 1 else ""
        fields += [_spread(gains, sign="+") if gains else "", sure]
    return [*fields, str(len(gains))]


def gain(curve: list[dict[str, Any]], plain: list[dict[str, Any]], key: str) -> float | None:
    """How far a curve lies over the plain one, at the MACs of its points that the plain one spans.

    Between two points a curve is a line over the logarithm of MACs. Beta 0, where both begin, is
    not counted; None where nothing else is shared.
    """
    macs = [math.log(point["macs"]) for point in reversed(plain)]
    figures = [point[key] for point in reversed(plain)]
    differences = [
        point[key] - float(np.interp(math.log(point["macs"]), macs, figures))
        for point in curve[1:]
        if math.log(point["macs"]) >= macs[0]
    ]
    return mean(differences) if differences else None


def _spread(values: list[float], *, digits: int = 1, sign: str = "") -> str:
    spread = stdev(values) if len(values) > 1 else 0.0
    return f"{mean(values):{sign}.{digits}f} ± {spread:.{digits}f}"


def as_picture(curves: list[Curve]) -> str:
    """Clean (dashed) and robust accuracy against MACs, seeds and their means, as an SVG file."""
    networks = sorted({curve.network for curve in curves})

    def draw(figure: Figure) -> None:
        figure.set_size_inches(8, 4)
        columns = figure.subplots(1, len(networks), squeeze=False)[0]
        for axes, network in zip(columns, networks, strict=True):
            for curve in (curve for curve in curves if curve.network == network):
                _draw(axes, curve)
            in_decades(axes, (1, 2, 4, 8))
            axes.set_title(network)
            axes.set_xlabel("multiply-accumulates an image")
        columns[0].set_ylabel("accuracy in %, clean is dashed")
        columns[0].legend()

    drawn = svg(draw, "accuracy against multiply-accumulates, by what weighs the KL")
    return drawn.replace("<svg", f"<svg {ALONE}", 1) + "\n"


def _draw(axes: Any, curve: Curve) -> None:
    colour = LINES[list(WEIGHTINGS).index(curve.weighting)]
    macs = [mean(curve.values(beta, "macs")) for beta in curve.betas()]
    for key, dashes in (("robust", "-"), ("clean", "--")):
        for points in curve.seeds.values():
            each = [100 * point[key] for point in points]
            axes.scatter([point["macs"] for point in points], each, 9, color=colour, alpha=0.5)
        middle = [100 * mean(curve.values(beta, key)) for beta in curve.betas()]
        label = WEIGHTINGS[curve.weighting] if key == "robust" else None
        axes.plot(macs, middle, f"o{dashes}", color=colour, label=label)

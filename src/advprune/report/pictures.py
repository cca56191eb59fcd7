"""The report's pictures: SVG text that stands inside the page and follows its colours."""

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    EngFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
)

from advprune.report.run_files import NETWORKS

_INK = "#010203"  # stands for the page's text colour, which only the browser knows
COLOURS = {"dense": "#8a8f98", "before": "#d97706", "after": "#2b7fd4"}
"""One colour a network, readable on white and on black."""
LINES = ("#2b7fd4", "#d9480f", "#2f9e44", "#9c5bd1", "#8a8f98")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10.5,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#8a8f98",
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


def curves(
    epochs: Sequence[float],
    phases: Sequence[str],
    lines: Mapping[str, Sequence[float]],
    *,
    label: str,
    percent: bool = False,
) -> str:
    """Lines against the epoch, with the phases shaded and named above."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for (name, values), colour in zip(lines.items(), LINES, strict=False):
            points = [(x, y) for x, y in zip(epochs, values, strict=True) if y == y]
            marker = "o" if len(points) < 2 else ""
            axes.plot(*zip(*points, strict=True), label=name, color=colour, marker=marker)
        _shade(axes, epochs, phases)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.set_xlim(0, max(epochs))
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        if percent:
            axes.set_ylim(0, 1.02)
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        _legend(axes, len(lines))

    return svg(draw, f"{label} against epoch")


def _shade(axes: Axes, epochs: Sequence[float], phases: Sequence[str]) -> None:
    start = 0.0
    runs = groupby(zip(epochs, phases, strict=False), key=lambda pair: pair[1])
    for index, (phase, rows) in enumerate(runs):
        end = [epoch for epoch, _ in rows][-1]
        axes.axvspan(start, end, color="#8a8f98", alpha=0.16 if index % 2 else 0.05, linewidth=0)
        axes.text(
            (start + end) / 2,
            1.02,
            phase,
            transform=axes.get_xaxis_transform(),
            ha="center",
            fontsize=9.5,
        )
        start = end


def layer_bars(layers: Mapping[str, Mapping[str, float]]) -> str:
    """Vulnerability of each layer, one bar a network side by side.

    Args:
        layers: For each network's name (see ``COLOURS``) its value by layer.
    """
    names = list(dict.fromkeys(name for values in layers.values() for name in values))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        width = 0.8 / len(layers)
        for index, (network, values) in enumerate(layers.items()):
            places = [i + (index - (len(layers) - 1) / 2) * width for i in range(len(names))]
            heights = [values.get(name, 0.0) for name in names]
            axes.bar(places, heights, width * 0.92, label=NETWORKS[network], color=COLOURS[network])
        axes.set_xticks(range(len(names)), names, rotation=40 if len(names) > 6 else 0)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("mean |h − h̃|")
        _legend(axes, len(layers))

    return svg(draw, "vulnerability of each layer")


def feature_histogram(features: Mapping[str, Sequence[float]], layer: str) -> str:
    """How many features of one layer have which vulnerability, one strip a network."""
    largest = max(max(values) for values in features.values()) or 1.0
    bins = [largest * i / 32 for i in range(33)]

    def draw(figure: Figure) -> None:
        strips = figure.subplots(len(features), sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, (network, values) in zip(strips, features.items(), strict=True):
            axes.hist(values, bins=bins, color=COLOURS[network], rwidth=0.9)
            axes.set_title(
                f"{NETWORKS[network]}: {len(values)} features", loc="right", fontsize=9.5
            )
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        figure.supylabel("features", fontsize=10.5)
        strips[-1].set_xlabel(f"mean |h − h̃| of a feature of {layer}")

    return svg(draw, f"histogram of the vulnerability of the features of {layer}")


def accuracy_against_eps(curves_by_network: Mapping[str, Iterable[Sequence[float]]]) -> str:
    """Accuracy under attack as the perturbation grows."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for network, points in curves_by_network.items():
            axes.plot(
                *zip(*points, strict=True),
                marker="o",
                markersize=4.5,
                label=NETWORKS[network],
                color=COLOURS[network],
            )
        axes.set_xlabel("eps")
        axes.set_ylabel("accuracy")
        axes.set_xlim(left=0)
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        _legend(axes, len(curves_by_network))

    return svg(draw, "accuracy against eps")


def _legend(axes: Axes, columns: int) -> None:
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=columns)


def in_decades(axes: Axes, marks: tuple[int, ...]) -> None:
    """Scale the horizontal axis by logarithms, with these multiples of powers of ten marked."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=marks))
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def svg(draw: Callable[[Figure], None], name: str) -> str:
    """A picture as ``<svg>`` text: no file header, no ids but those it refers to itself.

    Args:
        draw: Draws it onto a figure of the report's style.
        name: What it shows, for those who cannot see it.
    """
    text = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(6.6, 3.5), layout="constrained")
        draw(figure)
        figure.savefig(text, format="svg", transparent=True)
    drawn = text.getvalue()
    drawn = drawn[drawn.index("<svg") :].strip()
    drawn = re.sub(r"\s*<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r' xmlns(:\w+)?="[^"]*"', "", drawn)
    drawn = re.sub(r'<g id="[^"]*">', "<g>", drawn)
    drawn = re.sub(r' (width|height)="[^"]*pt"', "", drawn, count=2)
    return drawn.replace(_INK, "currentColor").replace(
        "<svg", f'<svg role="img" aria-label="{escape(name)}"', 1
    )

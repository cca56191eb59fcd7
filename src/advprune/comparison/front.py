"""The Pareto front: what is neither beaten in robustness nor in size."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from advprune.report.pictures import LINES, in_decades, svg

NAMED = 12
"""Points of which each has its name in the picture; of more, those on the front."""

Point = tuple[float, float]
"""Robust accuracy, the more the better; multiply-accumulates, the fewer the better."""


def on_front(points: Mapping[str, Point]) -> set[str]:
    """Names of the points that no other one dominates.

    One dominates another if it is at least as good in both and not the same.
    """
    return {
        name
        for name, (robust, macs) in points.items()
        if not any(
            other != (robust, macs) and other[0] >= robust and other[1] <= macs
            for other in points.values()
        )
    }


def picture(
    points: Mapping[str, Point], spreads: Mapping[str, tuple[float, float]], label: str
) -> str:
    """Robust accuracy against MACs as SVG, the front joined and in colour.

    Where there are many points, names would cover one another: those on the front are then listed
    beside the picture, the most robust first.

    Args:
        points: By name, accuracies in percent.
        spreads: The standard deviation of both, 0 where there is none.
        label: What the accuracy is.
    """
    front, many = on_front(points), len(points) > NAMED

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name, (robust, macs) in points.items():
            colour = LINES[0] if name in front else LINES[-1]
            yerr, xerr = spreads[name]
            axes.errorbar(macs, robust, yerr, xerr, fmt="o", capsize=2, color=colour)
            if not many:
                axes.annotate(name, (macs, robust), (6, 5), textcoords="offset points", fontsize=9)
        if many:
            _list(axes, {name: points[name] for name in front})
        steps = sorted(points[name][::-1] for name in front)
        axes.step(*zip(*steps, strict=True), where="post", color=LINES[0], alpha=0.5)
        in_decades(axes, (1, 2, 5))
        axes.set_xlabel("multiply-accumulates an image")
        axes.set_ylabel(label)
        axes.margins(x=0.15, y=0.15)

    return svg(draw, "robust accuracy against multiply-accumulates")


def _list(axes: Axes, points: Mapping[str, Point]) -> None:
    """Names in a column right of the axes, each joined to its point."""
    ranked = sorted(points, key=lambda name: (-points[name][0], name))
    for place, name in enumerate(ranked):
        axes.annotate(
            name,
            points[name][::-1],
            (1.03, 0.97 - 0.07 * place),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": LINES[0], "alpha": 0.4, "linewidth": 0.8},
        )

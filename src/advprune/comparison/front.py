"""The Pareto front: what is neither beaten in robustness nor in size."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from advprune.report.pictures import LINES, in_decades, svg

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

    Args:
        points: By name, accuracies in percent.
        spreads: The standard deviation of both, 0 where there is none.
        label: What the accuracy is.
    """
    front = on_front(points)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name, (robust, macs) in points.items():
            colour = LINES[0] if name in front else LINES[-1]
            yerr, xerr = spreads[name]
            axes.errorbar(macs, robust, yerr, xerr, fmt="o", capsize=2, color=colour)
            axes.annotate(name, (macs, robust), (6, 5), textcoords="offset points", fontsize=9)
        steps = sorted(points[name][::-1] for name in front)
        axes.step(*zip(*steps, strict=True), where="post", color=LINES[0], alpha=0.5)
        in_decades(axes, (1, 2, 5))
        axes.set_xlabel("multiply-accumulates an image")
        axes.set_ylabel(label)
        axes.margins(x=0.15, y=0.15)

    return svg(draw, "robust accuracy against multiply-accumulates")

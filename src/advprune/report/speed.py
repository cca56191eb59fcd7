"""The picture of a bench: how long each file takes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from advprune.shipping import Latency

COLOURS = {"eager": "#8a8f98", "compiled": "#d97706", "ONNX": "#2b7fd4", "OpenVINO": "#2f9e44"}
OTHER = "#9c5bd1"


def draw(times: Mapping[str, Sequence[Latency]], path: str | Path) -> Path:
    """Draw medians as bars, p10 to p90 as lines across their ends, one panel a batch size.

    Args:
        times: Of each file, one a batch size.
        path: Where to write; the suffix says what, such as `.png` or `.svg`.
    """
    panels = list(zip(*times.values(), strict=True))
    size = (9.0, 0.5 + (0.6 + 0.34 * len(times)) * len(panels))
    with mpl.rc_context({"text.parse_math": False, "svg.fonttype": "none"}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(panels), squeeze=False)[:, 0]
        for axis, panel in zip(axes, panels, strict=True):
            medians = [time.median_ms for time in panel]
            spread = [
                [time.median_ms - time.p10_ms for time in panel],
                [time.p90_ms - time.median_ms for time in panel],
            ]
            axis.barh(list(times), medians, xerr=spread, color=[_colour(time) for time in panel])
            axis.invert_yaxis()
            axis.set_xlim(left=0)
            axis.set_title(f"batch {panel[0].batch}", loc="left", fontsize=10)
            axis.spines[["top", "right"]].set_visible(False)
        axes[-1].set_xlabel(
            f"ms a pass, median with p10 to p90; {panels[0][0].threads} thread(s), "
            f"{panels[0][0].processor}"
        )
        figure.savefig(path, dpi=150)
    return Path(path)


def _colour(time: Latency) -> str:
    return next((colour for word, colour in COLOURS.items() if word in time.backend), OTHER)

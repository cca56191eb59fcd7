"""The report's tables, as rows of ready text."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from advprune.report.run_files import NETWORKS, RunFiles, dig


@dataclass(frozen=True)
class Cell:
    """A figure, and the range it was seen in or may lie in."""

    text: str = "–"
    between: str = ""


@dataclass(frozen=True)
class Row:
    """One line of the headline table.

    Attributes:
        name: What is measured.
        cells: One figure a network, "–" where it was not measured.
        change: From the first network to the last, "" where nothing compares.
        main: Whether it is one of the figures to be seen first.
    """

    name: str
    cells: tuple[Cell, ...]
    change: str
    main: bool = False


@dataclass(frozen=True)
class Section:
    """Rows of the headline table that belong together."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Width:
    """How many units of a group are left, in the last network."""

    group: str
    kept: int
    total: int

    @property
    def share(self) -> float:
        """Kept units as a share of all."""
        return self.kept / self.total if self.total else 0.0


def headline(run: RunFiles) -> list[Section]:
    """Accuracy, vulnerability and cost of each network, and how they changed."""
    networks = [{**network, "left": _left(network)} for network in run.networks().values()]
    left = {name: attack for one in networks for name, attack in one["left"].items()}
    accuracy = [
        _row(networks, "clean", ("clean",), percent, points, main=True),
        _row(
            networks, "robust, worst case of all attacks", ("robust",), percent, points, main=True
        ),
        _row(networks, _autoattack(networks), ("autoattack", "robust"), percent, points),
        *(
            _row(networks, _met(name, attack), ("left", name, "accuracy"), percent, points)
            for name, attack in left.items()
        ),
        _row(networks, "smallest perturbation, median", _MEDIAN, decimal, ratio),
    ]
    vulnerability = [
        _row(networks, label, ("vulnerability", key), decimal, ratio)
        for key, label in _VULNERABILITY.items()
    ]
    cost = [
        _row(networks, label, ("cost", key), show, ratio, main=key in ("parameters", "macs"))
        for key, (label, show) in _COST.items()
    ]
    sections = {
        "Accuracy": accuracy,
        "Vulnerability of latent features": vulnerability,
        "Size and speed": [*cost, *_latencies(networks)],
    }
    kept = {
        title: tuple(row for row in rows if any(cell != Cell() for cell in row.cells))
        for title, rows in sections.items()
    }
    return [Section(title, rows) for title, rows in kept.items() if rows]


def budgets(run: RunFiles) -> list[tuple[str, str]]:
    """Each attack's exact budget, each corruption's at its severest, from a network that has it."""
    found: dict[str, str] = {}
    for network in run.networks().values():
        for name, attack in (dig(network, "attacks") or {}).items():
            budget = dig(attack, "budget")
            if budget:  # one row for the severities of a corruption, which come in order
                found[budget.get("kind", name)] = plain(budget)
    return list(found.items())


def warnings(run: RunFiles) -> list[tuple[str, str, str, str]]:
    """Every warning as level, network, name and text, the gravest level first.

    Checks that hold over the run have no network.
    """
    found = [
        (_level(warning), place, *_warning(warning))
        for place, tree in _places(run)
        for warning in _listed(tree.get("warnings"))
    ]
    return sorted(found, key=lambda row: _LEVELS.index(row[0]))


def checked(run: RunFiles) -> bool:
    """Whether anything looked for warnings at all."""
    return any("warnings" in tree for _, tree in _places(run))


def facts(run: RunFiles) -> list[tuple[str, str]]:
    """What was attacked, with what, where: threat, data, seed, model, environment."""
    last = list(run.networks().values())[-1]
    found = {key: run.result.get(key, last.get(key)) for key in _FACTS}
    return [(_FACTS[key], plain(value)) for key, value in found.items() if value is not None]


def widths(run: RunFiles) -> list[Width]:
    """Kept and total units of each group in the last network that tells them."""
    for network in reversed(run.networks().values()):
        if network.get("widths"):
            return [
                Width(group, int(kept), int(total))
                for group, (kept, total) in network["widths"].items()
            ]
    return []


def percent(value: float) -> str:
    """A fraction as percent."""
    return f"{100 * value:.2f} %"


def decimal(value: float) -> str:
    """A small number to three significant figures."""
    return f"{value:.3g}"


def count(value: float) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,.0f}"


def size(value: float) -> str:
    """Bytes in kB."""
    return f"{value / 1000:,.1f} kB"


def points(first: float, last: float) -> str:
    """The difference of two fractions in percentage points."""
    return f"{100 * (last - first):+.2f} points"


def ratio(first: float, last: float) -> str:
    """How many times smaller or larger the last is."""
    if first <= 0 or last <= 0:
        return ""
    if first == last:
        return "same"
    return f"{first / last:.2f}× less" if last <= first else f"{last / first:.2f}× more"


def plain(value: Any) -> str:
    """A value as a person writes it; a float no longer than it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return " · ".join(f"{key} {plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return str(value)


_FACTS = {
    "threat": "threat",
    "suite": "suite of attacks",
    "data": "data",
    "examples": "images judged",
    "data_examples": "of images there",
    "data_hash": "SHA-256 of the images",
    "model_hash": "SHA-256 of the model",
    "batch_size": "images a batch",
    "seed": "seed",
    "training": "training",
    "commit": "commit",
    "environment": "environment",
}
_MEDIAN = ("smallest", "quantiles", "0.5")
_VULNERABILITY = {
    "network": "mean |h − h̃|",
    "active_only": "over active units only",
    "relative": "relative to |h|",
    "margin_weighted": "weighted by the margin's gradient",
}
_COST: dict[str, tuple[str, Callable[[float], str]]] = {
    "parameters": ("parameters", count),
    "macs": ("multiply-accumulates (MACs), one image", count),
    "activations": ("activations, one image", count),
    "bytes": ("parameters and buffers", size),
}


def _autoattack(networks: list[dict[str, Any]]) -> str:
    """The row of AutoAttack beside the suite, which may have met fewer images."""
    met = next(filter(None, (dig(network, "autoattack", "examples") for network in networks)), 0)
    return f"AutoAttack, {met:,} images"


def _row(
    networks: list[dict[str, Any]],
    name: str,
    keys: tuple[str, ...],
    show: Callable[[float], str],
    change: Callable[[float, float], str],
    *,
    main: bool = False,
) -> Row:
    values = [dig(network, *keys) for network in networks]
    known = [float(value) for value in values if value is not None]
    return Row(
        name,
        tuple(
            Cell()
            if value is None
            else Cell(
                show(float(value)), _interval(dig(network, *keys[:-1], f"{keys[-1]}_interval"))
            )
            for network, value in zip(networks, values, strict=True)
        ),
        change(known[0], known[-1]) if len(known) > 1 else "",
        main,
    )


def _interval(bounds: Any) -> str:
    """The 95 % interval of an accuracy, where the file gives one."""
    return f"{100 * bounds[0]:.2f} to {100 * bounds[1]:.2f}" if bounds else ""


def _left(network: dict[str, Any]) -> dict[str, Any]:
    """What each attack left or, where there are several families of attacks, each of these."""
    families = {
        one["name"]: {"accuracy": one["worst_case"] if one["mean"] is None else one["mean"]}
        for one in network.get("families", ())
    }
    return families or network.get("attacks") or {}


def _met(name: str, attack: Any) -> str:
    """An attack that met only what others had left tells the accuracy after all of them."""
    return f"after {name} too" if dig(attack, "alone") is False else f"under {name}"


def _latencies(networks: list[dict[str, Any]]) -> list[Row]:
    """One row for each setting under which latency was measured."""
    timed = [
        {_setting(timing): timing for timing in _listed(dig(network, "latency"))}
        for network in networks
    ]
    rows = []
    for setting in dict.fromkeys(name for timings in timed for name in timings):
        found = [timings.get(setting) for timings in timed]
        medians = [float(timing["median_ms"]) for timing in found if timing]
        cells = tuple(_timing(timing) if timing else Cell() for timing in found)
        change = ratio(medians[0], medians[-1]) if len(medians) > 1 else ""
        rows.append(Row(setting, cells, change))
    return rows


def _setting(timing: dict[str, Any]) -> str:
    known = {key: timing[key] for key in ("batch", "threads", "backend") if key in timing}
    return f"latency ({plain(known)})" if known else "latency"


def _timing(timing: dict[str, Any]) -> Cell:
    text = f"{timing['median_ms']:.3g} ms"
    if not {"p10_ms", "p90_ms"} <= timing.keys():
        return Cell(text)
    return Cell(text, f"{timing['p10_ms']:.3g} to {timing['p90_ms']:.3g}")


def _places(run: RunFiles) -> list[tuple[str, dict[str, Any]]]:
    """Where warnings may stand, each with its network's name: the run as a whole has none."""
    networks = {NETWORKS[key]: net for key, net in run.networks().items()}
    beside = {f"{name}, AutoAttack": net.get("autoattack") for name, net in networks.items()}
    found = {"": run.result, **networks, **beside}
    return [(name, tree) for name, tree in found.items() if tree is not None]


_LEVELS = ("alarm", "warning", "note")


def _level(warning: Any) -> str:
    level = warning.get("level") if isinstance(warning, dict) else None
    return level if level in _LEVELS else "warning"


def _warning(warning: Any) -> tuple[str, str]:
    if not isinstance(warning, dict):
        return "warning", str(warning)
    name = str(warning.get("name") or warning.get("check") or "warning")
    rest = {key: value for key, value in warning.items() if key not in ("name", "check", "level")}
    if not {"figure", "threshold", "text"} <= rest.keys():
        return name, plain(rest)
    return name, f"{rest['figure']:.4g} exceeds {rest['threshold']:.4g}. {rest['text']}"


def _listed(value: Any) -> list[Any]:
    """A list of what may be one thing, several or none."""
    if isinstance(value, list):
        return value
    return [value] if value else []

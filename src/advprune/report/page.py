"""Writing a run's page: one HTML file that needs nothing but itself."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from advprune.files import write_text
from advprune.report import pictures, tables
from advprune.report.run_files import NETWORKS, Metrics, RunFiles, dig, read, recipe_settings


@dataclass(frozen=True)
class Picture:
    """A drawing with the words that stand beneath it."""

    title: str
    svg: Markup
    caption: str


def write(run_dir: str | Path) -> Path:
    """Makes ``report.html`` in a run directory from what the run left there.

    Reads ``result.json`` (which must be there), ``metrics.csv`` and ``recipe.yaml``; what is
    missing from them is left out of the page.

    Args:
        run_dir: Directory of a finished run.

    Returns:
        The page's path.

    Raises:
        ValueError: If the directory holds no readable ``result.json``.
    """
    run_dir = Path(run_dir)
    return write_text(run_dir / "report.html", _render(read(run_dir)))


def _render(run: RunFiles) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        name=run.result.get("recipe") or recipe_settings(run.recipe).get("name") or "run",
        networks=[NETWORKS[key] for key in run.networks()],
        sections=tables.headline(run),
        budgets=tables.budgets(run),
        warnings=tables.warnings(run),
        checked=tables.checked(run),
        facts=tables.facts(run),
        widths=tables.widths(run),
        training=list(_training(run)),
        robustness=list(_robustness(run)),
        recipe=run.recipe,
    )


def _training(run: RunFiles) -> Iterator[Picture]:
    metrics = run.metrics
    losses = _lines(
        metrics,
        {
            "loss": "total",
            "clean_loss": "clean",
            "adversarial_loss": "adversarial",
            "certified_loss": "certified",
        },
    )
    if losses:
        yield _curve("Losses", metrics, losses, "loss", "Means over the training steps.")
    accuracies = _lines(
        metrics,
        {
            "validation_clean": "clean, validation",
            "validation_robust": "robust, validation",
            "validation_certified": "certified, validation",
        },
    )
    if accuracies:
        caption = "On images held out of training; robust is under the validation attack only."
        yield _curve("Accuracy", metrics, accuracies, "accuracy", caption, percent=True)
    sizes = _sizes(run)
    if sizes:
        caption = "As shares of the unpruned network."
        yield _curve("Size", metrics, sizes, "share left", caption, percent=True)


def _lines(metrics: Metrics, names: dict[str, str]) -> dict[str, list[float]]:
    return {
        label: metrics.columns[column] for column, label in names.items() if metrics.has(column)
    }


def _sizes(run: RunFiles) -> dict[str, list[float]]:
    """Units and MACs after each epoch as shares of the unpruned network's.

    The first row is of a network that may have been pruned for an epoch already, so the whole is
    taken from the figures; where they lack it, it is the largest that was seen.
    """
    wholes = {
        "active units": sum(width.total for width in tables.widths(run)),
        "MACs": dig(run.result, "before", "cost", "macs") or 0,
    }
    lines = _lines(run.metrics, {"active_units": "active units", "macs": "MACs"})
    return {name: _shares(values, wholes[name]) for name, values in lines.items()}


def _shares(values: list[float], whole: float) -> list[float]:
    seen = [value for value in values if not math.isnan(value)]
    largest = max(whole, *seen) or 1.0
    return [value / largest for value in values]


def _curve(
    title: str,
    metrics: Metrics,
    lines: dict[str, list[float]],
    label: str,
    caption: str,
    *,
    percent: bool = False,
) -> Picture:
    svg = pictures.curves(metrics.epochs(), metrics.phases, lines, label=label, percent=percent)
    return Picture(title, Markup(svg), caption)  # noqa: S704  the picture escapes its own text


def _robustness(run: RunFiles) -> Iterator[Picture]:
    layers = _of_networks(run, "vulnerability", "layers")
    if layers:
        yield Picture(
            "Vulnerability of each layer",
            Markup(pictures.layer_bars(layers)),  # noqa: S704
            "Mean absolute difference of latent features between clean and attacked images. "
            "Folding changes scales, so between networks only the relative form compares.",
        )
    features = _of_networks(run, "vulnerability", "features")
    if features:
        layer = next(iter(next(iter(features.values()))))
        values = {key: tree[layer] for key, tree in features.items() if tree.get(layer)}
        yield Picture(
            f"Vulnerability of the features of {layer}",
            Markup(pictures.feature_histogram(values, layer)),  # noqa: S704
            "How many features of the first latent layer have which vulnerability; "
            "features that no longer move, such as those behind a closed gate, stand at zero.",
        )
    eps = _of_networks(run, "curve")
    if not eps and run.result.get("curve"):
        eps = {list(run.networks())[-1]: run.result["curve"]}
    eps = {key: _pairs(points) for key, points in eps.items()}
    if eps:
        yield Picture(
            "Accuracy against eps",
            Markup(pictures.accuracy_against_eps(eps)),  # noqa: S704
            "It must fall to chance as eps grows; where it does not, the attack is too weak "
            "or gradients are masked.",
        )
    yield from _distances(run)


def _distances(run: RunFiles) -> Iterator[Picture]:
    curves = _of_networks(run, "smallest", "curve")
    if curves:
        yield Picture(
            "Accuracy against the smallest perturbation",
            Markup(  # noqa: S704
                pictures.accuracy_against_eps({key: _pairs(one) for key, one in curves.items()})
            ),
            "Share of the images that no perturbation of that size fools, from the smallest one "
            "found of each image.",
        )


def _pairs(points: Any) -> list[tuple[float, float]]:
    """A curve as (eps, accuracy) pairs, from pairs or from JSON's mapping with keys of text."""
    pairs = points.items() if isinstance(points, dict) else points
    return sorted((float(eps), float(accuracy)) for eps, accuracy in pairs)


def _of_networks(run: RunFiles, *keys: str) -> dict[str, Any]:
    found = {key: dig(network, *keys) for key, network in run.networks().items()}
    return {key: value for key, value in found.items() if value}

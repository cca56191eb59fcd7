"""Networks attacked and measured on the test images, stage by stage, and the one that ships."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from torch import nn

from advprune import shipping
from advprune.data import Splits
from advprune.evaluation import environment, write_json
from advprune.recipes import figures
from advprune.recipes.figures import Figures
from advprune.recipes.schema import Recipe
from advprune.training import Trained


def judge(
    recipe: Recipe,
    out: Path,
    splits: Splits,
    judged: Mapping[str, nn.Module],
    plain: Mapping[str, nn.Module],
    trained: Trained,
    parents: Mapping[str, nn.Module] = MappingProxyType({}),
) -> Figures:
    """Attacks and measures networks on the test images, and saves the one called ``after``.

    Args:
        recipe: Threat, evaluation and seed.
        out: The run's folder.
        splits: The data.
        judged: The networks whose answers are judged, by their key in ``result.json``.
        plain: Plain networks of the same keys, whose size and speed are measured.
        trained: What training left.
        parents: What ``after`` came from, by name: what fools them is tried on it as well, since
            whoever attacks what ships may have them.
    """
    result: Figures = {
        "schema": 1,
        "recipe": recipe.name,
        **{
            key: _network(recipe, out, key, network, splits, parents if key == "after" else {})
            for key, network in judged.items()
        },
        "threat": {"norm": recipe.threat.norm, "eps": recipe.threat.eps},
        "data": recipe.data.name,
        "seed": recipe.seed,
        "environment": environment(),
        "training": {
            "seconds": trained.seconds,
            "cpu_seconds": trained.cpu_seconds,
            "validation_best": trained.best,
            "validation_last": trained.last,
        },
    }
    attacked = partial(figures.autoattack, recipe, judged["after"], splits.test)
    result["after"] |= _stage(out, "after-autoattack", attacked)
    images = figures.example(splits.validation)
    costs = _stage(out, "cost", lambda: figures.costs(plain, images))
    for key in judged:
        result[key] |= costs[key]
    _ship(recipe, out, splits, judged["after"], result["after"])
    return result


def _network(
    recipe: Recipe,
    out: Path,
    key: str,
    network: nn.Module,
    splits: Splits,
    parents: Mapping[str, nn.Module],
) -> Figures:
    attacked = partial(figures.accuracies, recipe, network, splits.test, parents)
    found = _stage(out, f"{key}-accuracies", attacked)
    for measure in (figures.vulnerabilities, figures.radii):
        compute = partial(measure, recipe, network, splits.test)
        found |= _stage(out, f"{key}-{measure.__name__}", compute)
    found.pop("survivors")
    found["warnings"] += found.pop("curve_warnings", [])
    return found


def _stage(out: Path, name: str, compute: Callable[[], Figures]) -> Figures:
    """A stage's figures: those that a run before this one left, or new ones."""
    path = out / "stages" / f"{name}.json"
    if not path.is_file():
        write_json(path, compute())
    kept: Figures = json.loads(path.read_text(encoding="utf-8"))
    return kept


def _ship(recipe: Recipe, out: Path, splits: Splits, model: nn.Module, found: Figures) -> None:
    shipping.save(
        model,
        out / "model",
        input_shape=list(splits.train.x.shape[1:]),
        input_range=[0.0, 1.0],
        classes=list(splits.train.classes),
        threat={"norm": recipe.threat.norm, "eps": recipe.threat.eps},
        results={key: found[key] for key in ("clean", "robust", "suite", "examples")},
    )

"""When two runs are the same run."""

import hashlib
import json
from functools import cache
from pathlib import Path

import torch

import advprune
from advprune import data
from advprune.recipes import Recipe
from advprune.shipping.manifest import MANIFEST
from advprune.shipping.zoo import locate

_SHOWING = ("cli", "comparison", "report")
DIGITS = 12
"""Hex digits of an identity that stand in a folder's name."""


def identity(recipe: Recipe) -> str:
    """SHA-256 (hex) over all that a run's outcome follows from.

    These are every value of the recipe, the source of advprune, the version of torch, the images
    and labels, and the saved models that the recipe names. What shares an identity need not be run
    again; whatever changes it must.
    """
    parts = [recipe.resolved(), code(), torch.__version__, images(recipe), networks(recipe)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def code() -> str:
    """SHA-256 (hex) over the package's source files, but for those that only show results."""
    root = Path(advprune.__path__[0])
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if place.parts[0] not in _SHOWING:
            digest.update(f"{place}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def images(recipe: Recipe) -> list[str]:
    """Fingerprints of the images that are trained on, chosen by and judged on."""
    return list(_fingerprints(recipe.data.model_dump_json(), recipe.seed))


def networks(recipe: Recipe) -> dict[str, str | None]:
    """SHA-256 (hex) of the manifests of the saved models that a recipe builds on, by their names.

    A manifest holds the hash of its weights; one that is not there yet has None.
    """
    named = {*recipe.training.networks, *recipe.evaluation.sources}
    if recipe.model.start_from is not None:
        named.add(recipe.model.start_from)
    return {name: _manifest(name) for name in sorted(named)}


def _manifest(source: str) -> str | None:
    try:
        return hashlib.sha256((locate(source) / MANIFEST).read_bytes()).hexdigest()
    except (ValueError, OSError):
        return None


@cache
def _fingerprints(settings: str, seed: int) -> tuple[str, ...]:
    named = json.loads(settings)
    splits = data.load(named.pop("name"), seed=seed, **named)
    return tuple(part.fingerprint() for part in (splits.train, splits.validation, splits.test))

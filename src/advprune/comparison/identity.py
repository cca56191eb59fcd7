"""When two runs are the same run."""

import hashlib
import json
from functools import cache
from pathlib import Path

import torch

import advprune
from advprune import data
from advprune.recipes import Recipe

_SHOWING = ("cli", "comparison", "report")
DIGITS = 12
"""Hex digits of an identity that stand in a folder's name."""


def identity(recipe: Recipe) -> str:
    """SHA-256 (hex) over all that a run's outcome follows from.

    These are every value of the recipe, the source of advprune, the version of torch, and the
    images and labels. What shares an identity need not be run again; whatever changes it must.
    """
    parts = [recipe.resolved(), code(), torch.__version__, images(recipe)]
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


@cache
def _fingerprints(settings: str, seed: int) -> tuple[str, ...]:
    named = json.loads(settings)
    splits = data.load(named.pop("name"), seed=seed, **named)
    return tuple(part.fingerprint() for part in (splits.train, splits.validation, splits.test))

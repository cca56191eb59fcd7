"""Recipes: a whole run as YAML, validated."""

from advprune.recipes.loading import dump, load, names
from advprune.recipes.schema import (
    DataSettings,
    EvaluationSettings,
    ModelSettings,
    Recipe,
    ThreatSettings,
)

__all__ = [
    "DataSettings",
    "EvaluationSettings",
    "ModelSettings",
    "Recipe",
    "ThreatSettings",
    "dump",
    "load",
    "names",
]

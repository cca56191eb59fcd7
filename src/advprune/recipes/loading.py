"""Recipes read by name or from a file, checked, and written out again."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import advprune
from advprune.choices import choose
from advprune.recipes import plain_yaml
from advprune.recipes.complaints import explain
from advprune.recipes.inheriting import inherit
from advprune.recipes.overriding import override
from advprune.recipes.schema import Recipe

FOLDER = Path(advprune.__path__[0]) / "recipes"


def names() -> list[str]:
    """Names of the recipes that come with the package, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(source: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Reads a recipe and checks all of it.

    With ``base: RECIPE`` (a name, or a file beside it) it only says what is different there.

    Args:
        source: A name in `names`, or a YAML file.
        overrides: Values to change first, such as ``"training.phases.prune.epochs=3"``.

    Raises:
        ValueError: No such recipe, not YAML, or anything in it is impossible; the text names the
            file, the key, the value and what is allowed.
    """
    path = _locate(source)
    given = _read(path, ())
    for assignment in overrides:
        override(given, assignment)
    return _checked(given, path)


def dump(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every default written out; `load` gives the same again."""
    return plain_yaml.dump(recipe.resolved())


def _locate(source: str | Path) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    if path.suffix in {".yaml", ".yml"} or len(path.parts) != 1:
        raise ValueError(f"{source}: no such file")
    return choose("recipe", str(source), {name: FOLDER / f"{name}.yaml" for name in names()})


def _read(path: Path, heirs: tuple[Path, ...]) -> dict[str, Any]:
    """What a file says on top of its base; ``heirs`` are the files that rest on this one."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: a recipe is text in UTF-8, this file is not") from error
    given = plain_yaml.parse(text, str(path))
    if not isinstance(given, dict):
        raise ValueError(f"{path}: a recipe is a mapping of keys to values")
    base = given.pop("base", None)
    if base is None:
        return given
    if not isinstance(base, str):
        raise ValueError(f"{path}: base = {base!r}: allowed is the name or the file of a recipe")
    beside = path.parent / base
    found = beside if beside.is_file() else _locate(base)
    if found.resolve() in (*heirs, path.resolve()):
        raise ValueError(f"{path}: base = {base!r}: that recipe rests on this one")
    return inherit(_read(found, (*heirs, path.resolve())), given)


def _checked(given: dict[str, Any], path: Path) -> Recipe:
    try:
        return Recipe.model_validate(given)
    except ValidationError as error:
        raise ValueError(f"{path}:\n{explain(error, Recipe, given)}") from None

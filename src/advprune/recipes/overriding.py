"""Single values of a recipe changed from the command line."""

from typing import Any

from advprune.choices import choose
from advprune.recipes import plain_yaml


def override(recipe: dict[str, Any], assignment: str) -> None:
    """Sets one value, in place.

    Args:
        recipe: The recipe as read.
        assignment: ``"key.key=value"``, the value in YAML; an entry of a list is named by its
            place or, where entries have names, by its name: ``training.phases.prune.epochs=3``.

    Raises:
        ValueError: There is no ``=``, or no such entry in a list.
    """
    path, equals, text = assignment.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ValueError(f"--set {assignment}: write key=value, such as training.batch_size=64")
    *parents, last = keys
    place: Any = recipe
    for depth, key in enumerate(parents, start=1):
        place = _inside(place, key, ".".join(parents[:depth]))
    value = plain_yaml.parse(text, f"--set {assignment}")
    if isinstance(place, list):
        place[_index(place, last, path)] = value
    else:
        place[last] = value


def _inside(place: Any, key: str, path: str) -> Any:
    """The list or mapping under a key; made where a mapping has none there."""
    if isinstance(place, list):
        inner = place[_index(place, key, path)]
    else:
        if place.get(key) is None:
            place[key] = {}
        inner = place[key]
    if not isinstance(inner, (dict, list)):
        raise ValueError(f"{path} is {inner!r}: nothing can be set inside it")
    return inner


def _index(entries: list[Any], key: str, path: str) -> int:
    """Place of an entry, by number or by name."""
    places = {str(place): place for place in range(len(entries))}
    named = {
        str(entry["name"]): place
        for place, entry in enumerate(entries)
        if isinstance(entry, dict) and "name" in entry
    }
    return choose(f"entry of {path.rpartition('.')[0]}", key, {**named, **places})

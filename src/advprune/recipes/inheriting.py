"""A recipe on top of another: what it does not say, its base says."""

from typing import Any

Given = dict[str, Any]


def inherit(base: Given, given: Given) -> Given:
    """Returns the base with what is given put over it; neither is changed.

    Mappings are joined key by key; an empty one replaces all that the base has there. Of two lists
    whose entries all have names, entries of one name are joined where they stand, and new ones
    follow. Anything else is replaced.
    """
    return {
        **base,
        **{
            key: _joined(base[key], value) if key in base else value for key, value in given.items()
        },
    }


def _joined(base: Any, value: Any) -> Any:
    if value and isinstance(base, dict) and isinstance(value, dict):
        return inherit(base, value)
    if _named(base) and _named(value):
        both = inherit(
            {entry["name"]: entry for entry in base}, {entry["name"]: entry for entry in value}
        )
        return list(both.values())
    return value


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(e, dict) and "name" in e for e in value)

"""What is wrong with a recipe, in words: which key, which value, what is allowed."""

import difflib
import typing
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

SHOWN = 60
"""Characters of a wrong value that are shown."""

_WORDS = {
    "model_type": "allowed is a mapping of keys to values",
    "dict_type": "allowed is a mapping of keys to values",
    "tuple_type": "allowed is a list",
}


def explain(error: ValidationError, schema: type[BaseModel], given: Any) -> str:
    """All complaints, one a line, in the order of the recipe.

    Args:
        error: What validation found.
        schema: The model that the recipe was checked against.
        given: The recipe as read, whose lists' entries are named in the complaints.
    """
    found = error.errors()
    return "\n".join(
        _line(details, schema, given) for details in found if not _follows(details, found)
    )


def _follows(details: ErrorDetails, found: list[ErrorDetails]) -> bool:
    """Whether a list counts as too short only because its entries are wrong."""
    place = details["loc"]
    inner = any(len(e["loc"]) > len(place) and e["loc"][: len(place)] == place for e in found)
    return details["type"] == "too_short" and inner


def _line(details: ErrorDetails, schema: type[BaseModel], given: Any) -> str:
    key = _key(details["loc"], given)
    if details["type"] == "extra_forbidden":
        return f"{key}: unknown key{_nearest(details['loc'], schema)}"
    if details["type"] == "missing":
        return f"{key}: missing"
    message = _WORDS.get(details["type"], details["msg"]).removeprefix("Value error, ")
    if isinstance(details["input"], dict):
        return f"{key}: {message}" if key else message
    value = repr(details["input"])
    shown = value if len(value) <= SHOWN else value[: SHOWN - 3] + "..."
    return f"{key} = {shown}: {message[0].lower()}{message[1:]}"


def _key(location: tuple[int | str, ...], given: Any) -> str:
    """Dotted path, with an entry's name in place of its number where it has one."""
    parts, place = [], given
    for part in location:
        try:
            place = place[part]
        except (KeyError, IndexError, TypeError):
            place = None
        named = isinstance(part, int) and isinstance(place, dict) and "name" in place
        parts.append(str(place["name"]) if named else str(part))
    return ".".join(parts)


def _nearest(location: tuple[int | str, ...], schema: type[BaseModel]) -> str:
    """What is allowed where an unknown key stands."""
    model: type[BaseModel] | None = schema
    for part in location[:-1]:
        if isinstance(part, str) and model is not None:
            model = _model_in(model.model_fields[part].annotation)
    if model is None:
        return ""
    close = difflib.get_close_matches(str(location[-1]), model.model_fields, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"{hint}; allowed: {', '.join(model.model_fields)}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The settings that a field holds, in a list or as an option."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(argument) for argument in typing.get_args(annotation))
    return next((model for model in inner if model is not None), None)

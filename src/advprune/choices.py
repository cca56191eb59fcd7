"""Names, arguments and counts that a caller gives, refused with what is allowed."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from typing import Any, TypeVar

T = TypeVar("T")


def choose(kind: str, name: str, table: Mapping[str, T]) -> T:
    """Look ``name`` up in ``table``.

    Raises:
        ValueError: If it is not there; the message names ``kind``, all choices and the nearest one.
    """
    if name not in table:
        raise ValueError(f"Unknown {kind} {name!r}{_nearest(name, table)}. Known: {_names(table)}.")
    return table[name]


def check_arguments(
    what: str,
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    besides: Iterable[str] = (),
) -> inspect.BoundArguments:
    """Bind keyword ``arguments`` to ``function`` without calling it.

    Args:
        what: What takes them, for the message.
        function: What they are for.
        arguments: By name.
        besides: Names that somebody else takes, one of which may have been meant.

    Raises:
        ValueError: If one is unknown or missing; the message says what ``what`` takes.
    """
    signature = inspect.signature(function)
    try:
        return signature.bind(**arguments)
    except TypeError as error:
        unknown = [name for name in arguments if name not in signature.parameters]
        hint = _nearest(unknown[0], [*signature.parameters, *besides]) if unknown else ""
        raise ValueError(f"{what} takes {_names(signature.parameters)}; {error}{hint}.") from None


def check_count(name: str, count: object, least: int = 1) -> None:
    """Check that ``count`` is a whole number of at least ``least``.

    Raises:
        ValueError: If it is not; the message says what ``name`` may be.
    """
    if isinstance(count, bool) or not isinstance(count, Integral) or count < least:
        raise ValueError(f"{name}={count!r}; allowed are whole numbers from {least}")


def _nearest(name: str, allowed: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(allowed), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _names(allowed: Iterable[str]) -> str:
    return ", ".join(allowed) or "nothing"

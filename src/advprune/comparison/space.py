"""What a sweep may vary: values of a recipe's keys."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from advprune.recipes import plain_yaml


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, whole ones where both ends are.

    Attributes:
        low: Least value.
        high: Largest value.
        log: Whether its logarithm is what is spread evenly.
    """

    low: float
    high: float
    log: bool

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True)
class Choice:
    """One of several values, as they are written in a recipe."""

    values: tuple[str, ...]


Space = dict[str, Range | Choice]


def parse(texts: Iterable[str]) -> Space:
    """Reads what varies.

    Args:
        texts: Each ``KEY=LOW..HIGH``, ``KEY=LOW..HIGH:log`` or ``KEY=A|B|C``, with the keys of
            ``--set``.

    Raises:
        ValueError: A text of another form, or a range that holds nothing; says which.
    """
    space: Space = {}
    for text in texts:
        key, _, values = text.partition("=")
        if not key or not values or (".." not in values and "|" not in values):
            raise ValueError(
                f"vary {text!r}: allowed are KEY=LOW..HIGH, KEY=LOW..HIGH:log and KEY=A|B|C"
            )
        if key in space:
            raise ValueError(f"vary {text!r}: {key} varies already")
        space[key] = Choice(tuple(values.split("|"))) if "|" in values else _range(text, values)
    if not space:
        raise ValueError("nothing varies; give at least one KEY=LOW..HIGH or KEY=A|B|C")
    return space


def _range(text: str, values: str) -> Range:
    ends, _, scale = values.partition(":")
    low, high = (_number(text, end) for end in ends.split("..", 1))
    if scale not in ("", "log"):
        raise ValueError(f"vary {text!r}: after a colon only log is allowed")
    if not low < high or (scale and low <= 0):
        least = " over 0" if scale else ""
        raise ValueError(f"vary {text!r}: allowed are LOW < HIGH{least}")
    return Range(low, high, bool(scale))


def _number(text: str, written: str) -> float:
    value: Any = plain_yaml.parse(written, text)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"vary {text!r}: {written!r} is no number")
    return value

"""Converters that some ways of shipping need, without their noise."""

from advprune.extras import need
from advprune.quiet import quiet

__all__ = ["need", "quiet"]

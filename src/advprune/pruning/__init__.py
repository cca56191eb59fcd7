"""Slimming: the closed units are really gone."""

from advprune.pruning.ranked import Limit, cut, read_limit, worth
from advprune.pruning.slim import SlimError, slim

__all__ = ["Limit", "SlimError", "cut", "read_limit", "slim", "worth"]

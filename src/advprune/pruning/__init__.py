"""Slimming: the closed units are really gone."""

from advprune.pruning.deep_compression import compress_in_place
from advprune.pruning.narrowing import Kept, narrowed
from advprune.pruning.ranked import Limit, close_to_widths, cut, read_limit
from advprune.pruning.scores import SCORES, Score, worth
from advprune.pruning.slim import SlimError, slim
from advprune.pruning.unread import without_unread

__all__ = [
    "SCORES",
    "Kept",
    "Limit",
    "Score",
    "SlimError",
    "close_to_widths",
    "compress_in_place",
    "cut",
    "narrowed",
    "read_limit",
    "slim",
    "without_unread",
    "worth",
]

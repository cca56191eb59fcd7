"""Bounds on what a network answers to any image that a threat allows."""

from advprune.bounds.initial import narrow_weights
from advprune.bounds.interval import Intervals
from advprune.bounds.linear import adaptive, elided, fixed, lower_bounds, lower_lines
from advprune.bounds.loss import Worst, worst_cross_entropy
from advprune.bounds.margins import BOUNDS, against, is_certified, margin_bounds, refine
from advprune.bounds.network import Network, network
from advprune.bounds.operators import Affine, Interval, Relu, Step
from advprune.bounds.region import Region

__all__ = [
    "BOUNDS",
    "Affine",
    "Interval",
    "Intervals",
    "Network",
    "Region",
    "Relu",
    "Step",
    "Worst",
    "adaptive",
    "against",
    "elided",
    "fixed",
    "is_certified",
    "lower_bounds",
    "lower_lines",
    "margin_bounds",
    "narrow_weights",
    "network",
    "refine",
    "worst_cross_entropy",
]

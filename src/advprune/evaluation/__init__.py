"""What a network is worth: suites of attacks, checks of the figures, cost."""

from advprune.evaluation.cost import Cost, cost
from advprune.evaluation.environment import environment

__all__ = ["Cost", "cost", "environment"]

"""Signs that a robustness figure is not what it seems."""

from advprune.evaluation.checks.attacks import BY_GRADIENTS, check_attacks, check_losses
from advprune.evaluation.checks.families import check_families
from advprune.evaluation.checks.model import check_model
from advprune.evaluation.checks.search import check_radii, check_restarts
from advprune.evaluation.checks.table import CHECKS, Check

__all__ = [
    "BY_GRADIENTS",
    "CHECKS",
    "Check",
    "check_attacks",
    "check_families",
    "check_losses",
    "check_model",
    "check_radii",
    "check_restarts",
]

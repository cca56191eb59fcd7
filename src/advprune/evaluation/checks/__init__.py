"""Signs that a robustness figure is not what it seems."""

from advprune.evaluation.checks.attacks import check_attacks, check_losses
from advprune.evaluation.checks.model import check_model
from advprune.evaluation.checks.search import check_radii, check_restarts
from advprune.evaluation.checks.table import CHECKS, Check

__all__ = [
    "CHECKS",
    "Check",
    "check_attacks",
    "check_losses",
    "check_model",
    "check_radii",
    "check_restarts",
]

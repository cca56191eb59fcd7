"""Objectives: functions of a model, a batch and an adversary to losses."""

from advprune.objectives.clean import bayesian_pruning, standard
from advprune.objectives.losses import Adversary, Batch, Coefficients, Losses, Objective
from advprune.objectives.robust import adversarial, anp

OBJECTIVES: dict[str, Objective] = {
    "standard": standard,
    "bayesian_pruning": bayesian_pruning,
    "adversarial": adversarial,
    "anp": anp,
}

__all__ = ["OBJECTIVES", "Adversary", "Batch", "Coefficients", "Losses", "Objective"]

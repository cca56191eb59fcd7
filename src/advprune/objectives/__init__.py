"""Objectives: functions of a model, a batch and an adversary to losses."""

from advprune.objectives.clean import bayesian_pruning, standard
from advprune.objectives.distillation import ARD, RSLAD
from advprune.objectives.losses import Adversary, Batch, Coefficients, Losses, Objective
from advprune.objectives.robust import ADVERSARIAL, Defence
from advprune.objectives.trades import TRADES

DEFENCES: dict[str, Defence] = {"trades": TRADES, "ard": ARD, "rslad": RSLAD}

PRUNING: dict[str, Objective] = {
    "bayesian_pruning": bayesian_pruning,
    "anp": ADVERSARIAL.prune,
    **{f"anp_{name}": defence.prune for name, defence in DEFENCES.items()},
}
"""Objectives that train gates."""

OBJECTIVES: dict[str, Objective] = {
    "standard": standard,
    "adversarial": ADVERSARIAL.train,
    **{name: defence.train for name, defence in DEFENCES.items()},
    **PRUNING,
}

TAUGHT = frozenset({"ard", "rslad", "anp_ard", "anp_rslad"})
"""Objectives that need a teacher."""

__all__ = [
    "OBJECTIVES",
    "PRUNING",
    "TAUGHT",
    "Adversary",
    "Batch",
    "Coefficients",
    "Losses",
    "Objective",
]

"""Objectives: functions of a model, a batch and an adversary to losses."""

from advprune.objectives.augmentation import with_noisy_logits
from advprune.objectives.awp import perturbed
from advprune.objectives.certified import certified, certified_pruning
from advprune.objectives.clean import bayesian_pruning, standard
from advprune.objectives.distillation import ARD, RSLAD
from advprune.objectives.gaussian import adv_bnn, variational_dropout
from advprune.objectives.losses import (
    Adversary,
    Batch,
    Certificate,
    Coefficients,
    Losses,
    Objective,
)
from advprune.objectives.mart import MART
from advprune.objectives.pairing import LOGIT_PAIRING
from advprune.objectives.penalties import PENALTIES, penalised
from advprune.objectives.robust import ADVERSARIAL, Defence, madry
from advprune.objectives.trades import TRADES

DEFENCES: dict[str, Defence] = {
    "trades": TRADES,
    "mart": MART,
    "logit_pairing": LOGIT_PAIRING,
    "ard": ARD,
    "rslad": RSLAD,
}

PRUNING: dict[str, Objective] = {
    "bayesian_pruning": bayesian_pruning,
    "certified_pruning": certified_pruning,
    "anp": ADVERSARIAL.prune,
    **{f"anp_{name}": defence.prune for name, defence in DEFENCES.items()},
}
"""Objectives that train gates."""

OBJECTIVES: dict[str, Objective] = {
    "standard": standard,
    "certified": certified,
    "adversarial": ADVERSARIAL.train,
    "madry": madry,
    "adv_bnn": adv_bnn,
    "variational_dropout": variational_dropout,
    **{name: defence.train for name, defence in DEFENCES.items()},
    **PRUNING,
}

GAUSSIAN = {"adv_bnn": "normal", "variational_dropout": "log_uniform"}
"""Objectives of Gaussian weights, with the family of prior that each needs."""

CERTIFIED = frozenset({"certified", "certified_pruning"})
"""Objectives on bounds instead of attacks."""

UNATTACKED = frozenset({"standard", "bayesian_pruning", "variational_dropout"})
"""Objectives on clean images alone."""

TAUGHT = frozenset({"ard", "rslad", "anp_ard", "anp_rslad"})
"""Objectives that need a teacher."""

__all__ = [
    "CERTIFIED",
    "GAUSSIAN",
    "OBJECTIVES",
    "PENALTIES",
    "PRUNING",
    "TAUGHT",
    "UNATTACKED",
    "Adversary",
    "Batch",
    "Certificate",
    "Coefficients",
    "Losses",
    "Objective",
    "penalised",
    "perturbed",
    "with_noisy_logits",
]

"""Attacks: searches of a threat model for images that a model gets wrong."""

from advprune.attacks.base import Attack, AttackResult, Found
from advprune.attacks.fgsm import FGSM
from advprune.attacks.losses import LOSSES, Loss
from advprune.attacks.pgd import PGD
from advprune.attacks.square import Square
from advprune.attacks.victim import Classifier

__all__ = [
    "FGSM",
    "LOSSES",
    "PGD",
    "Attack",
    "AttackResult",
    "Classifier",
    "Found",
    "Loss",
    "Square",
]

"""Attacks: searches of a threat model for images that a model gets wrong."""

from advprune.attacks.base import Attack, AttackResult, Found
from advprune.attacks.black_box import BlackBox
from advprune.attacks.bpda import backward_as, identity
from advprune.attacks.decision_based import DecisionBased
from advprune.attacks.distortion import Distortion
from advprune.attacks.eot import EOT
from advprune.attacks.fgsm import FGSM
from advprune.attacks.losses import LOSSES, Loss
from advprune.attacks.pgd import PGD
from advprune.attacks.spsa import SPSA
from advprune.attacks.square import Square
from advprune.attacks.substitute import Substitute, imitate
from advprune.attacks.victim import Classifier

__all__ = [
    "EOT",
    "FGSM",
    "LOSSES",
    "PGD",
    "SPSA",
    "Attack",
    "AttackResult",
    "BlackBox",
    "Classifier",
    "DecisionBased",
    "Distortion",
    "Found",
    "Loss",
    "Square",
    "Substitute",
    "backward_as",
    "identity",
    "imitate",
]

"""Attacks: searches of a threat model for images that a model gets wrong."""

from advprune.attacks.base import Attack, AttackResult
from advprune.attacks.fgsm import FGSM
from advprune.attacks.losses import LOSSES, Loss
from advprune.attacks.pgd import PGD

__all__ = ["FGSM", "LOSSES", "PGD", "Attack", "AttackResult", "Loss"]

"""Attacks: searches of a threat model for images that a model gets wrong."""

from advprune.attacks.apgd import APGD
from advprune.attacks.base import Attack, AttackResult, Found
from advprune.attacks.black_box import BlackBox
from advprune.attacks.bpda import backward_as, borrowed, identity
from advprune.attacks.carlini_wagner import CarliniWagner
from advprune.attacks.corruption import Corruption
from advprune.attacks.decision_based import DecisionBased
from advprune.attacks.deepfool import DeepFool
from advprune.attacks.distortion import Distortion
from advprune.attacks.eot import EOT
from advprune.attacks.evasion import Evasion
from advprune.attacks.fab import FAB
from advprune.attacks.few_pixels import FewPixels
from advprune.attacks.fgsm import FGSM
from advprune.attacks.losses import LOSSES, Loss
from advprune.attacks.mi_fgsm import MIFGSM
from advprune.attacks.pgd import PGD
from advprune.attacks.pointwise import Pointwise
from advprune.attacks.random_noise import RandomNoise
from advprune.attacks.sparse_rs import SparseRS
from advprune.attacks.spatial import Spatial
from advprune.attacks.spsa import SPSA
from advprune.attacks.square import Square
from advprune.attacks.substitute import Substitute, imitate
from advprune.attacks.targeted_apgd import TargetedAPGD
from advprune.attacks.targeted_fab import TargetedFAB
from advprune.attacks.victim import Classifier

__all__ = [
    "APGD",
    "EOT",
    "FAB",
    "FGSM",
    "LOSSES",
    "MIFGSM",
    "PGD",
    "SPSA",
    "Attack",
    "AttackResult",
    "BlackBox",
    "CarliniWagner",
    "Classifier",
    "Corruption",
    "DecisionBased",
    "DeepFool",
    "Distortion",
    "Evasion",
    "FewPixels",
    "Found",
    "Loss",
    "Pointwise",
    "RandomNoise",
    "SparseRS",
    "Spatial",
    "Square",
    "Substitute",
    "TargetedAPGD",
    "TargetedFAB",
    "backward_as",
    "borrowed",
    "identity",
    "imitate",
]

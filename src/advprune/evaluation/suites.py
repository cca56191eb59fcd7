"""Which attacks a model meets, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from advprune.attacks import FGSM, PGD, Attack, RandomNoise, Square
from advprune.threat import ThreatModel


@dataclass(frozen=True)
class Trial:
    """One attack of a suite.

    Attributes:
        attack: The attack.
        alone: Whether it meets every example, so that the accuracy it leaves is its own. If not,
            it meets the survivors of the trials before it.
        kind: "iterated" or "single-step", with the model's own gradients; "transfer", with those
            of another; "black-box", by queries; "noise", by chance.
    """

    attack: Attack
    alone: bool
    kind: Literal["iterated", "single-step", "transfer", "black-box", "noise"] = "iterated"


Suite = Callable[[ThreatModel], dict[str, Trial]]


def quick(threat: ThreatModel) -> dict[str, Trial]:
    """PGD-20 twice with cross-entropy, once with the margin; FGSM, noise, short Square: seconds."""
    return {
        "pgd": Trial(PGD(threat, steps=20, restarts=2), alone=True),
        "pgd_margin": Trial(PGD(threat, steps=20, loss="margin"), alone=False),
        "fgsm": Trial(FGSM(threat), alone=True, kind="single-step"),
        "noise": Trial(RandomNoise(threat, draws=10), alone=False, kind="noise"),
        "square": Trial(Square(threat, queries=200), alone=False, kind="black-box"),
    }


def paper(threat: ThreatModel) -> dict[str, Trial]:
    """The protocol of Madaan et al. (ICML 2020): PGD-40, one random start, last iterate."""
    return {"pgd40": Trial(paper_attack(threat), alone=True)}


def strong(threat: ThreatModel) -> dict[str, Trial]:
    """PGD-40 with 10 restarts and cross-entropy, again with the margin, any iterate; FGSM."""
    return {
        "pgd": Trial(PGD(threat, steps=40, restarts=10), alone=True),
        "pgd_margin": Trial(PGD(threat, steps=40, restarts=10, loss="margin"), alone=False),
        "fgsm": Trial(FGSM(threat), alone=True, kind="single-step"),
    }


SUITES: dict[str, Suite] = {"quick": quick, "paper": paper, "strong": strong}


def paper_attack(threat: ThreatModel) -> PGD:
    """PGD-40 as Madaan et al. (ICML 2020) evaluate with.

    Their step is .01 for eps .3 (MNIST) and .007 for eps .03 (CIFAR); other radii get the same
    share, 1/30 from eps .1 upwards and 7/30 below. They have no other norm: l2 and l1 take
    `PGD`'s own step.
    """
    step_size = threat.eps / 30 if threat.eps >= 0.1 else threat.eps * 7 / 30
    return PGD(
        threat,
        steps=40,
        step_size=step_size if threat.norm == "linf" else None,
        stop_when_fooled=False,
        keep="last",
    )


def transfer(threat: ThreatModel) -> Trial:
    """The paper's black box: its PGD-40 on another network, tried on the model."""
    return Trial(paper_attack(threat), alone=True, kind="transfer")

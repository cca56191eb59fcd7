"""Which attacks a model meets, by name."""

from collections.abc import Callable
from functools import partial

from advprune.attacks import (
    APGD,
    EOT,
    FGSM,
    PGD,
    Attack,
    CarliniWagner,
    DecisionBased,
    DeepFool,
    RandomNoise,
    Square,
    TargetedAPGD,
    TargetedFAB,
)
from advprune.choices import choose
from advprune.evaluation.breadth import breadth, read_radii
from advprune.evaluation.trial import Shape, Suite, Trial
from advprune.threat import ThreatModel


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


def standard(threat: ThreatModel) -> dict[str, Trial]:
    """AutoAttack's standard version: Auto-PGD, targeted Auto-PGD, targeted FAB, Square.

    An image enters an attack only if all before it left it right.

    Source: Croce & Hein, "Reliable evaluation of adversarial robustness" (2020), section 6; for L1
    "Mind the box" (2021), section 6.
    """
    sparse = threat.norm == "l1"
    attacks: dict[str, Attack] = {
        "apgd_ce": APGD(threat, steps=100, restarts=5 if sparse else 1),
        "apgd_t": TargetedAPGD(threat, steps=100, targets=5 if sparse else 9),
        "fab_t": TargetedFAB(threat, steps=100, targets=9, stop_when_fooled=True),
    }
    trials = {name: Trial(attack, alone=False) for name, attack in attacks.items()}
    square = Square(threat, queries=5000)
    return trials | {"square": Trial(square, alone=False, kind="black-box")}


def rand(threat: ThreatModel) -> dict[str, Trial]:
    """AutoAttack's version for random models: Auto-PGD on means of 20 draws, CE and DLR."""
    return {
        f"apgd_{short}": Trial(EOT(APGD(threat, steps=100, loss=loss), samples=20), alone=False)
        for short, loss in (("ce", "cross_entropy"), ("dlr", "dlr"))
    }


def thorough(threat: ThreatModel) -> dict[str, Trial]:
    """What the warnings of "standard" escalate to: more restarts, steps and queries after it.

    With networks to transfer from, their images are tried as after any suite.
    """
    attacks: dict[str, Attack] = {
        "apgd_ce_5": APGD(threat, steps=100, restarts=5),
        "apgd_dlr_5": APGD(threat, steps=100, restarts=5, loss="dlr"),
        "apgd_t_3": TargetedAPGD(threat, steps=100, restarts=3),
        "fab_t_5": TargetedFAB(threat, steps=100, restarts=5, stop_when_fooled=True),
        "pgd_1000": PGD(threat, steps=1000, step_size=threat.eps / 40, loss="margin"),
    }
    trials = {name: Trial(attack, alone=False) for name, attack in attacks.items()}
    square = Trial(Square(threat, queries=10_000, restarts=2), alone=False, kind="black-box")
    return standard(threat) | trials | {"square_20000": square}


def minimum(threat: ThreatModel) -> dict[str, Trial]:
    """The smallest perturbations: targeted FAB, in linf and l2 DeepFool, in l2 Carlini and Wagner.

    The last is short. In linf it is left out: slow, and no finer than a tenth.
    """
    attacks: dict[str, Attack] = {"fab_t": TargetedFAB(threat, steps=100, targets=9)}
    if threat.norm != "l1":
        attacks["deepfool"] = DeepFool(threat)
    if threat.norm == "l2":
        attacks["carlini_wagner"] = CarliniWagner(threat, steps=200, learning_rate=0.1)
    return {name: Trial(attack, True, kind="minimum-norm") for name, attack in attacks.items()}


def shipped(threat: ThreatModel) -> dict[str, Trial]:
    """The quick suite; then, by the answers alone, Square, and HopSkipJump (not in l1).

    1,000 queries an image each; for exported files, whose gradients are another network's.
    """
    queries: dict[str, Trial] = {
        "square1000": Trial(Square(threat, queries=1000), alone=False, kind="black-box")
    }
    if threat.norm != "l1":
        try:
            walk = DecisionBased(threat, queries=1000)
        except ImportError as error:
            raise ValueError(str(error)) from error
        queries["hop_skip_jump"] = Trial(walk, alone=False, kind="black-box")
    return quick(threat) | queries


def _of_any_shape(suite: Callable[[ThreatModel], dict[str, Trial]]) -> Suite:
    def trials(threat: ThreatModel, _shape: Shape = (), /) -> dict[str, Trial]:
        return suite(threat)

    return trials


SUITES: dict[str, Suite] = {
    "quick": _of_any_shape(quick),
    "paper": _of_any_shape(paper),
    "strong": _of_any_shape(strong),
    "standard": _of_any_shape(standard),
    "rand": _of_any_shape(rand),
    "thorough": _of_any_shape(thorough),
    "minimum": _of_any_shape(minimum),
    "breadth": breadth,
    "shipped": _of_any_shape(shipped),
}


def find_suite(text: str) -> Suite:
    """The suite of that name; "breadth:l2=0.5,l0=10" is `breadth` with radii of one's own.

    Raises:
        ValueError: If there is none, or it takes no radii.
    """
    name, colon, radii = text.partition(":")
    suite = choose("suite", name, SUITES)
    if not colon:
        return suite
    if suite is not breadth:
        raise ValueError(f"suite {text!r}: only breadth takes radii, such as breadth:l2=0.5,l0=10")
    return partial(breadth, radii=read_radii(radii))


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

"""Every check: from what figure it speaks, how loudly, and what is to be done."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from advprune.evaluation.result import Finding, Level

NOISE = 1e-5
"""Largest difference between two outputs for the same images that is put down to rounding."""


@dataclass(frozen=True)
class Check:
    """One row of the checks.

    Attributes:
        text: What the figure is, what it means, and what to do.
        levels: The figure that each level must exceed, the louder the later.
    """

    text: str
    levels: Mapping[Level, float]

    def level(self, figure: float) -> Level | None:
        """The loudest level whose threshold the figure exceeds."""
        exceeded: list[Level] = [
            level for level, threshold in self.levels.items() if figure > threshold
        ]
        return exceeded[-1] if exceeded else None


CHECKS: dict[str, Check] = {
    "random output": Check(
        "The largest difference between two answers to the same images: the model draws random "
        "numbers, so that no single figure describes it. Make evaluation deterministic, or attack "
        "averages over its draws, several times: `evaluation.repeat`, `--repeats N`.",
        {"alarm": NOISE},
    ),
    "random output, averaged attacks": Check(
        "The largest difference between two answers to the same images: the model draws random "
        "numbers. The attacks take means over its draws, as they must, but a single evaluation is "
        "one draw of its figures. Evaluate several times: `evaluation.repeat`, `--repeats N`.",
        {"warning": NOISE},
    ),
    "output is probabilities": Check(
        "The share of answers that look like probabilities: a softmax at the end hides gradients "
        "from attacks. Return logits.",
        {"alarm": 0.5},
    ),
    "zero gradients": Check(
        "The share of images at which the margin, or the difference of logits ratio, has no "
        "gradient at all: attacks cannot see there, and the figures flatter. Name a stand-in for "
        "the layer that hides it (`backward_as`), and try attacks without gradients.",
        {"warning": 0.01, "alarm": 0.1},
    ),
    "integer-valued layers": Check(
        "The number of operations that turn many values into few: a rounding, a sign or an "
        "encoding, which has no gradient or a made one. Name a stand-in (`backward_as`).",
        {"warning": 0.0},
    ),
    "FGSM stronger than PGD": Check(
        "The share of examples that one step breaks and many do not: PGD is misled or its steps "
        "are too few. Give more steps and restarts, or other step sizes.",
        {"warning": 0.01, "alarm": 0.05},
    ),
    "cross-entropy weaker than margin": Check(
        "The share of examples that an attack with the margin or DLR breaks and those with the "
        "cross-entropy do not: it underflows on very confident networks. Believe no figure that "
        "rests on the cross-entropy alone.",
        {"note": 0.05, "warning": 0.1, "alarm": 0.2},
    ),
    "noise stronger than attacks": Check(
        "The share of examples that random noise breaks and the attacks before it do not: they "
        "search worse than chance. Try attacks without gradients.",
        {"warning": 0.0, "alarm": 0.01},
    ),
    "transfer stronger than white-box": Check(
        "The share of examples broken only with another network's gradients: this one's own are "
        "masked. Believe neither figure before stronger attacks.",
        {"warning": 0.01, "alarm": 0.05},
    ),
    "black-box stronger than white-box": Check(
        "The share of examples that only queries break: gradients mislead there. Escalate, with "
        "more queries and restarts, before either figure is believed.",
        {"note": 0.0, "warning": 0.01, "alarm": 0.05},
    ),
    "loss does not rise": Check(
        "The share of the iterated attacks whose mean loss ends no higher than it began: the "
        "gradients lead nowhere, and the figures flatter. Try another loss, other step sizes, and "
        "attacks without gradients.",
        {"alarm": 0.0},
    ),
    "larger radius weaker": Check(
        "The share of images that PGD breaks at half the radius and not at the whole: it is "
        "misled, or its steps are too coarse. Give more steps and restarts.",
        {"warning": 0.02, "alarm": 0.1},
    ),
    "accuracy at a radius of everything": Check(
        "The accuracy that PGD leaves, above the commonest class's share, at a radius where every "
        "image can become a grey one: attacks are misled, and figures at smaller radii flatter.",
        {"alarm": 0.0},
    ),
    "weaker outside its threat": Check(
        "How far the accuracy left in the weakest family of attacks lies below that in the threat "
        "that the model was made for: what it learned there does not carry over. Train for it too, "
        "or say in which threat the robust figure holds.",
        {"note": 0.05, "warning": 0.2},
    ),
    "restarts still lower the figure": Check(
        "The share of a part of the survivors that PGD-40 with the margin breaks from fresh "
        "starts: the figure has not settled. Give more restarts.",
        {"note": 0.0, "warning": 0.02, "alarm": 0.1},
    ),
}


def exceeding(figures: Mapping[str, float], said: str = "") -> Iterator[Finding]:
    """The findings of those figures that reach a level, with `said` before their text."""
    for name, figure in figures.items():
        check = CHECKS[name]
        level = check.level(figure)
        if level is not None:
            text = f"{said} {check.text}".strip()
            yield Finding(name, figure, check.levels[level], text, level)

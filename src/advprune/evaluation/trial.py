"""One attack of a suite, and what suites are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from advprune.attacks import Attack
from advprune.threat import ThreatModel

Kind = Literal[
    "iterated", "single-step", "minimum-norm", "transfer", "black-box", "noise", "natural"
]
Shape = Sequence[int]
"""Of an image: (channels, height, width)."""


@dataclass(frozen=True)
class Trial:
    """One attack of a suite.

    Attributes:
        attack: The attack.
        alone: Whether it meets every example, so that the accuracy it leaves is its own. If not,
            it meets the survivors of the trials of its family before it.
        kind: "iterated" or "single-step", with the model's own gradients; "minimum-norm", with
            them and without a radius; "transfer", with those of another; "black-box", by queries;
            "noise", by chance; "natural", without an attacker.
        family: What the attacker may do, in words, where it is not the suite's own threat.
    """

    attack: Attack
    alone: bool
    kind: Kind = "iterated"
    family: str = ""


class Suite(Protocol):
    """A function of what the attacker may do, and of the images' shape, to attacks by name."""

    def __call__(self, threat: ThreatModel, shape: Shape = (), /) -> dict[str, Trial]:
        """The attacks in the order in which they run."""

"""What a method says about one image."""

from enum import StrEnum


class Verdict(StrEnum):
    """Whether every image that the threat allows gets the right answer.

    Attributes:
        CERTIFIED: it does.
        WRONG: not even the image itself does.
        COUNTEREXAMPLE: one of them gets another answer, as a forward pass has shown.
        UNDECIDED: the bound is too loose, the time was up, or the samples were too few.
    """

    CERTIFIED = "certified"
    WRONG = "wrong"
    COUNTEREXAMPLE = "counterexample"
    UNDECIDED = "undecided"

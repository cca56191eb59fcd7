"""What happens to images within the range of pixels alone: no ball limits it."""

from advprune.attacks.base import Attack
from advprune.threat import ThreatModel


class Unlimited(Attack):
    """An attack whose images may be any.

    Args:
        bounds: smallest and largest value of a pixel.
    """

    def __init__(self, bounds: tuple[float, float] = (0.0, 1.0)) -> None:
        low, high = bounds
        super().__init__(
            ThreatModel("linf", high - low, bounds), loss="margin", precision="float32"
        )

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {"norm": None, "eps": None, "loss": None}

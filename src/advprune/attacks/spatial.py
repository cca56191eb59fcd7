"""Shifts and rotations, all of a grid."""

from itertools import product

import torch
from torch import Tensor

from advprune.attacks.base import Found
from advprune.attacks.best import Best
from advprune.attacks.unlimited import Unlimited
from advprune.attacks.victim import Victim
from advprune.choices import check_count
from advprune.corruptions.warping import warped


class Spatial(Unlimited):
    """Every rotation with every shift of a grid, until one fools; black comes in from outside.

    Source: Engstrom, Tran, Tsipras, Schmidt & Madry, "Exploring the landscape of spatial
    robustness" (2019), section 4: 31 rotations of up to 30° and 5 by 5 shifts of up to 3 of 32
    pixels.

    Args:
        degrees: largest rotation, to either side.
        share: largest shift, as a share of the image's height and width.
        rotations: how many angles, evenly from one side to the other.
        shifts: how many in each direction, likewise.

    Raises:
        ValueError: when a setting is impossible.
    """

    def __init__(
        self,
        *,
        degrees: float = 30.0,
        share: float = 3 / 32,
        rotations: int = 31,
        shifts: int = 5,
    ) -> None:
        super().__init__()
        check_count("rotations", rotations)
        check_count("shifts", shifts)
        if not 0 <= degrees <= 180:
            raise ValueError(f"degrees={degrees!r}; allowed are numbers from 0 to 180")
        if not 0 <= share < 1:
            raise ValueError(f"share={share!r}; allowed are numbers from 0, below 1")
        self.degrees, self.share, self.rotations, self.shifts = degrees, share, rotations, shifts

    def describe(self) -> dict[str, object]:
        """The grid, ready for JSON."""
        return super().describe() | {
            "degrees": self.degrees,
            "share": self.share,
            "rotations": self.rotations,
            "shifts": self.shifts,
        }

    def moves(self) -> list[tuple[float, float, float]]:
        """Degrees and shares of width and height at every point of the grid, the mildest first."""
        angles = _evenly(self.degrees, self.rotations)
        shifts = _evenly(self.share, self.shifts)
        grid = product(angles, shifts, shifts)
        return sorted(grid, key=lambda move: sum(abs(part) for part in move))

    def _search(self, victim: Victim, x: Tensor, _generator: torch.Generator | None) -> Found:
        best, (height, width) = Best(x), x.shape[2:]
        for degrees, across, down in self.moves():
            rows = best.left()
            if not len(rows):
                break
            moved = warped(x[rows], degrees=degrees, right=across * width, down=down * height)
            moved = moved.clamp(*self.threat.bounds)
            best.offer(rows, moved, *victim.measure(moved, rows))
        return Found(best.x, best.fooled, best.latest.mean()[None])


def _evenly(largest: float, count: int) -> list[float]:
    """So many numbers from -largest to largest; one is 0."""
    if count == 1:
        return [0.0]
    return [largest * (2 * step / (count - 1) - 1) for step in range(count)]

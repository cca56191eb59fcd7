"""How far a model's images are from fooling it: norms, quantiles, accuracy over the radius."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Of the examples, whose quantiles are told."""
POINTS = 40
"""Of the curve, which are as many quantiles."""


@dataclass(frozen=True)
class Smallest:
    """The smallest perturbations found, over all attacks that sought them.

    Attributes:
        norm: In which they are measured.
        distances: Of each example judged: 0 where the image itself fools, None where nothing did.
        quantiles: Share of the examples → distance within which so many fall, None where fewer
            do; each is one of the distances.
        curve: Radius and accuracy, in pairs by radius, the threat's own among them. Each accuracy
            is an upper bound, as after any attack.
    """

    norm: str
    distances: tuple[float | None, ...]
    quantiles: dict[str, float | None]
    curve: tuple[tuple[float, float], ...]

    def accuracy(self, eps: float) -> float:
        """Share of the examples that no perturbation found within that radius fools."""
        return float((_array(self.distances) > eps).mean())

    def __rich__(self) -> Table:
        """The quantiles, as a terminal shows them."""
        table = Table(title=f"smallest perturbations found, {self.norm}")
        table.add_column("examples that fall within")
        for share in self.quantiles:
            table.add_column(f"{100 * float(share):g} %", justify="right")
        values = self.quantiles.values()
        table.add_row("radius", *("none" if value is None else f"{value:.4g}" for value in values))
        return table


def smallest(norm: str, eps: float, found: Iterable[Sequence[float | None]]) -> Smallest:
    """The nearest of what several attacks found, and how it is spread.

    Args:
        norm: In which all measured.
        eps: A radius that the curve tells of.
        found: Each attack's distances, one an example; None where it found nothing.
    """
    least = np.stack([_array(distances) for distances in found]).min(0)
    wanted = [step / POINTS for step in range(1, POINTS + 1)]
    radii = np.quantile(least, wanted, method="inverted_cdf")
    points = sorted({0.0, eps, *radii[np.isfinite(radii)].tolist()})
    told = np.quantile(least, SHARES, method="inverted_cdf")
    return Smallest(
        norm=norm,
        distances=_told(least),
        quantiles={str(share): value for share, value in zip(SHARES, _told(told), strict=True)},
        curve=tuple((radius, float((least > radius).mean())) for radius in points),
    )


def median(distances: Sequence[float | None]) -> float | None:
    """The distance within which half fall; None where fewer do."""
    return _told(np.quantile(_array(distances), [0.5], method="inverted_cdf"))[0]


def _array(distances: Sequence[float | None]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([np.inf if value is None else value for value in distances])


def _told(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float | None, ...]:
    return tuple(value if np.isfinite(value) else None for value in values.tolist())

"""Sparse-RS: random search for a few pixels that fool."""

import math

import torch
from torch import Tensor

from advprune.attacks.base import Attack, Found, padded
from advprune.attacks.best import Best
from advprune.attacks.few_pixels import FewPixels
from advprune.attacks.losses import Loss
from advprune.attacks.row_noise import RowNoise
from advprune.attacks.victim import Victim
from advprune.choices import check_count

DIVISORS = (
    (0, 1),
    (50, 2),
    (200, 4),
    (500, 5),
    (1000, 6),
    (2000, 8),
    (4000, 10),
    (6000, 12),
    (8000, 15),
)
"""From which of 10,000 queries on the share of pixels that move is divided, and by what."""


class SparseRS(Attack):
    """Some of the changed pixels go elsewhere; the proposal stays where it raises the loss.

    Changed pixels stand at the corners of the colours: every channel at an end of its range. The
    model's answers are all it needs. Each image has its own draws, and leaves as soon as it fools.

    Source: Croce, Andriushchenko, Singh, Flammarion & Hein, "Sparse-RS" (2022), algorithm 1 for L0.
    A pixel that moves may fall back on its old place, with a new colour.

    Args:
        threat: how many pixels may change.
        queries: answers asked for an image, its first pixels included.
        share: of the pixels that move at first.
        loss: see `Attack`.

    Raises:
        ValueError: when a setting is impossible.
    """

    norms = ("l0",)

    def __init__(
        self,
        threat: FewPixels,
        *,
        queries: int = 5000,
        share: float = 0.3,
        loss: str | Loss = "margin",
    ) -> None:
        super().__init__(threat, loss=loss, precision="float32")
        check_count("queries", queries)
        if not 0 < share <= 1:
            raise ValueError(f"share={share!r}; allowed are numbers above 0, up to 1")
        self.queries = queries
        self.share = share

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {"queries": self.queries, "share": self.share}

    def moving(self, query: int, pixels: int) -> int:
        """How many of the changed pixels that query moves; at least one."""
        when = 10_000 * query / self.queries
        divisor = [by for start, by in DIVISORS if start <= when][-1]
        return max(int(self.share / divisor * pixels), 1)

    def _search(self, victim: Victim, x: Tensor, generator: torch.Generator | None) -> Found:
        noise, best = RowNoise(len(x), generator), Best(x)
        best.offer(torch.arange(len(x), device=x.device), x, *victim.measure(x))
        places = math.prod(x.shape[2:])
        pixels = min(int(self.threat.eps), places)
        rows = best.left()
        current, changed = x[rows], torch.zeros(len(rows), places, dtype=torch.bool).to(x.device)
        losses, means = x.new_full((len(rows),), -math.inf), []
        for query in range(self.queries):
            if not len(rows):
                break
            count = self.moving(query, pixels) if query else pixels
            drawn = noise.uniform(rows, 2 + x.shape[1], places).to(x)
            proposal, there = self._moved(x[rows], current, changed, drawn, count)
            reached, fooled = victim.measure(proposal, rows)
            better = (reached > losses) | fooled
            current = torch.where(better[:, None, None, None], proposal, current)
            changed = torch.where(better[:, None], there, changed)
            losses = torch.where(better, reached, losses)
            best.offer(rows, current, losses, fooled)
            means.append(best.latest.mean())
            rows, current, changed, losses = (
                part[~fooled] for part in (rows, current, changed, losses)
            )
        means = means or [best.latest.mean()]
        return Found(best.x, best.fooled, torch.stack(padded(means, self.queries)))

    def _moved(
        self, x: Tensor, current: Tensor, changed: Tensor, drawn: Tensor, count: int
    ) -> tuple[Tensor, Tensor]:
        """Images with so many of their changed pixels elsewhere, and which are changed then."""
        kept = changed & ~_lowest(drawn[:, 0], changed, count)
        new = _lowest(drawn[:, 1], ~kept, count)
        low, high = self.threat.bounds
        colours = torch.where(drawn[:, 2:] < 0.5, low, high).view_as(x)
        kept_here, new_here = (mask.view(len(x), 1, *x.shape[2:]) for mask in (kept, new))
        proposal = torch.where(kept_here, current, torch.where(new_here, colours, x))
        return proposal, kept | new


def _lowest(keys: Tensor, among: Tensor, count: int) -> Tensor:
    """The `count` of the lowest keys among some, or all of these; (rows, places) bool."""
    chosen = keys.masked_fill(~among, math.inf).topk(count, dim=1, largest=False).indices
    return torch.zeros_like(among).scatter_(1, chosen, True) & among

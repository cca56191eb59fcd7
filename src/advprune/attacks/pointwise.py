"""Pointwise attack: as few changed pixels as possible, by the answered class alone."""

from itertools import product

import torch
from torch import Tensor

from advprune.attacks.base import Attack, Found
from advprune.attacks.best import Nearest
from advprune.attacks.few_pixels import FewPixels
from advprune.attacks.row_noise import RowNoise
from advprune.attacks.victim import Victim
from advprune.choices import check_count

DENSITIES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""Shares of the pixels that become black, white or a corner of the colours, until it fools."""
TONES = (0.5, 0.0, 1.0)
"""Shares of the channels that are dark in them: noise as published; where none of it fools, all
white; all black."""
STARTS = len(DENSITIES) * len(TONES)


class Pointwise(Attack):
    """Salt-and-pepper noise that fools, from which every pixel that can go goes back.

    From noise at a rising density, the first that fools, the changed pixels are tried one by one
    in an order of the image's own; a pixel that the model answers alike without is the image's
    again. It ends when none can go, or when the queries are spent. The model's answered classes are
    all it needs.

    Source: Schott, Rauber, Bethge & Brendel, "Towards the first adversarially robust neural network
    model on MNIST" (2019), section 4, by whole pixels instead of single channels.

    Args:
        threat: how many pixels may change. The number decides which images fool;
            `AttackResult.distance` tells of more ones too.
        queries: answers asked for an image in one restart, at most.
        restarts: number of starts.

    Raises:
        ValueError: when a setting is impossible.
    """

    norms = ("l0",)

    def __init__(self, threat: FewPixels, *, queries: int = 1000, restarts: int = 1) -> None:
        super().__init__(threat, loss="margin", precision="float32")
        check_count("queries", queries, least=STARTS + 1)
        check_count("restarts", restarts)
        self.queries = queries
        self.restarts = restarts

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {
            "loss": None,
            "queries": self.queries,
            "restarts": self.restarts,
        }

    def _search(self, victim: Victim, x: Tensor, generator: torch.Generator | None) -> Found:
        noise = RowNoise(len(x), generator)
        nearest = Nearest(self.threat, x, victim.fooled(x))
        every = (nearest.distance > 0).nonzero().squeeze(1)
        for _ in range(self.restarts):
            rows, noisy = self._noisy(victim, x, every, noise)
            self._cleared(victim, nearest, rows, noisy, noise)
        return Found(nearest.allowed(), nearest.within(), torch.zeros(1), nearest.distance)

    def _noisy(
        self, victim: Victim, x: Tensor, rows: Tensor, noise: RowNoise
    ) -> tuple[Tensor, Tensor]:
        """Noise that fools, for those of the rows for which some was found."""
        found, images = [rows[:0]], [x[:0]]
        low, high = self.threat.bounds
        drawn = noise.uniform(rows, 1 + x.shape[1], *x.shape[2:]).to(x)
        for tone, density in product(TONES, DENSITIES):
            colours = torch.where(drawn[:, 1:] < tone, low, high).to(x)
            noisy = torch.where(drawn[:, :1] < density, colours, x[rows])
            fooled = victim.fooled(noisy, rows)
            found, images = [*found, rows[fooled]], [*images, noisy[fooled]]
            rows, drawn = rows[~fooled], drawn[~fooled]
        return torch.cat(found), torch.cat(images)

    def _cleared(
        self, victim: Victim, nearest: Nearest, rows: Tensor, current: Tensor, noise: RowNoise
    ) -> None:
        """Take back pixel after pixel, in passes over those that are left."""
        shape, left = current.shape[2:], self.queries - STARTS
        nearest.offer(rows, current)
        while len(rows) and left > 0:
            changed = (current != nearest.original[rows]).any(1).flatten(1)
            keys = noise.uniform(rows, changed.shape[1]).to(current)
            order = keys.masked_fill(~changed, 2.0).argsort(1)
            counts, gone = changed.sum(1), torch.zeros(len(rows), dtype=torch.bool).to(rows.device)
            for turn in range(min(int(counts.max()), left)):
                tried = (turn < counts).nonzero().squeeze(1)
                here = torch.zeros_like(changed[tried])
                here.scatter_(1, order[tried, turn, None], True)
                original = nearest.original[rows[tried]]
                without = torch.where(here.view(-1, 1, *shape), original, current[tried])
                fooled = victim.fooled(without, rows[tried])
                current[tried[fooled]] = without[fooled]
                gone[tried[fooled]] = True
            left -= int(counts.max())
            nearest.offer(rows, current)
            rows, current = rows[gone], current[gone]

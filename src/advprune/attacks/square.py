"""Square Attack: random search without gradients."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from advprune.attacks.base import Attack, Found, padded
from advprune.attacks.best import Best
from advprune.attacks.losses import Loss
from advprune.attacks.square_moves import MOVES, Moves, Propose, side_of
from advprune.attacks.victim import Victim
from advprune.choices import check_count
from advprune.threat import ThreatModel

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries after which the share of pixels that a square covers halves (section 4.2)."""


class Square(Attack):
    """Random search by squares that shrink; a proposal stays where it raises the loss.

    The model's answers are all it needs, so that any function of images to logits can be attacked.
    Each image has its own squares, and leaves as soon as it fools the model. A proposal that equals
    the image, as where a square of that sign stands already, counts as a query but is not asked.

    Source: Andriushchenko et al., "Square Attack" (2020), algorithms 1 to 3, with the schedule for
    10,000 queries whatever `queries` is, as in AutoAttack. The L1 version is that of Croce & Hein,
    "Mind the box" (2021), appendix C.

    Args:
        threat: what the attacker may do.
        queries: answers asked for an image in one restart, the first stripes included.
        restarts: number of starts.
        p_init: share of the pixels that the first squares cover.
        loss: see `Attack`.

    Raises:
        ValueError: when a setting is impossible.
    """

    def __init__(
        self,
        threat: ThreatModel,
        *,
        queries: int = 5000,
        restarts: int = 1,
        p_init: float = 0.8,
        loss: str | Loss = "margin",
    ) -> None:
        super().__init__(threat, loss=loss, precision="float32")
        check_count("queries", queries)
        check_count("restarts", restarts)
        if not 0 < p_init <= 1:
            raise ValueError(f"p_init={p_init!r}; allowed are numbers above 0, up to 1")
        self.queries = queries
        self.restarts = restarts
        self.p_init = p_init

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {
            "queries": self.queries,
            "restarts": self.restarts,
            "p_init": self.p_init,
        }

    def share(self, query: int) -> float:
        """Share of the pixels that the square of that query covers, the first being query 0."""
        return self.p_init * math.ldexp(1.0, -sum(query > limit for limit in HALVINGS))

    def _search(self, victim: Victim, x: Tensor, generator: torch.Generator | None) -> Found:
        best = Best(x)
        best.offer(torch.arange(len(x), device=x.device), x, *victim.measure(x))
        moves = MOVES[self.threat.norm](self.threat, x.shape[1:])
        noise = self._noise(x, moves, generator)
        means: list[Tensor] = []
        for restart in range(self.restarts):
            rows = best.left()
            if not len(rows):
                break
            first, later = noise(restart)
            current = moves.start(x[rows], first[rows])
            means += self._climb(victim, x, rows, current, later, moves.propose, best)
        means = padded(means or [best.latest.mean()], self.queries)
        return Found(best.x, best.fooled, torch.stack(means))

    def _noise(
        self, x: Tensor, moves: Moves, generator: torch.Generator | None
    ) -> Callable[[int], tuple[Tensor, Tensor]]:
        """Function of the restart to uniform numbers: (batch, .) and (batch, queries - 1, .).

        All are drawn beforehand, an example's own in a row, so that they depend on neither the
        batch's size nor its other examples.
        """
        generator = generator or torch.Generator().manual_seed(0)
        count = moves.first + (self.queries - 1) * moves.later
        noise = torch.rand(
            len(x), self.restarts, count, generator=generator, device=generator.device
        ).to(x)

        def of(restart: int) -> tuple[Tensor, Tensor]:
            one = noise[:, restart]
            first, later = one[:, : moves.first], one[:, moves.first :]
            return first, later.view(len(x), self.queries - 1, moves.later)

        return of

    def _climb(
        self,
        victim: Victim,
        x: Tensor,
        rows: Tensor,
        current: Tensor,
        noise: Tensor,
        propose: Propose,
        best: Best,
    ) -> list[Tensor]:
        """One restart of those rows of the batch; mean loss after each query that was made."""
        x, means = x[rows], []
        losses, fooled = victim.measure(current, rows)
        for query in range(self.queries):
            if query:
                side = side_of(self.share(query - 1), x.shape[1:], self.threat.norm)
                proposal = propose(x, current, noise[rows, query - 1], side)
                fooled = _improve(victim, rows, current, losses, proposal)
            best.latest[rows] = losses.to(best.latest.dtype)
            means.append(best.latest.mean())
            if fooled.any():
                best.offer(rows[fooled], current[fooled], losses[fooled], fooled[fooled])
                x, rows, current, losses = (part[~fooled] for part in (x, rows, current, losses))
                if not len(rows):
                    break
        best.offer(rows, current, losses, torch.zeros_like(rows, dtype=torch.bool))
        return means


def _improve(
    victim: Victim, rows: Tensor, current: Tensor, losses: Tensor, proposal: Tensor
) -> Tensor:
    """Writes the better proposals into the images, their losses too; which of them fool, (rows,).

    The model is not asked about a proposal that changes nothing: it is no better.
    """
    changed = torch.linalg.vector_norm(proposal - current, dim=(1, 2, 3)) > 0
    asked, fooled = changed.nonzero().squeeze(1), torch.zeros_like(changed)
    if len(asked):
        proposal = proposal.index_select(0, asked)  # copies whole images; [asked] each pixel
        reached, fools = victim.measure(proposal, rows[asked])
        better = (reached > losses[asked]) | fools
        chosen = asked[better]
        current[chosen], losses[chosen] = proposal[better], reached[better]
        fooled[asked] = fools
    return fooled

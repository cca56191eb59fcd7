"""Rounds of a search: restarts and rival classes, packed so that batches stay full."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

PAIRS = 128
"""Pairs of image and round that go together, where the batch itself is smaller."""
PIXELS = 2**18
"""Pixels that go together, where fewer are in the batch: small images in a small batch leave a
processor waiting for the next operator."""


def rounds(left: Callable[[], Tensor], count: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Which image meets which round, several rounds at once where few images are left.

    Args:
        left: gives the rows of the batch that are still to be attacked, (rows,).
        count: number of rounds.
        batch: as many pairs go together, and at least `PAIRS`; `room` of the whole batch.

    Yields:
        Row and round of each pair, two (pairs,).
    """
    done = 0
    while done < count and len(rows := left()):
        taken = min(count - done, max(batch, PAIRS) // len(rows))
        numbers = torch.arange(done, done + taken, device=rows.device)
        yield rows.repeat(taken), numbers.repeat_interleave(len(rows))
        done += taken


def room(x: Tensor) -> int:
    """Images like those of a batch that go together: at least as many as it has."""
    return max(len(x), PIXELS // max(x[:1].numel(), 1))


def rivals(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """The likeliest wrong classes of each image, likeliest first, (batch, min(count, classes - 1)).

    Args:
        logits: answers to the images, (batch, classes).
        labels: true classes, (batch,).
        count: rivals wanted.
    """
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.topk(min(count, logits.shape[1] - 1), dim=1).indices

"""Holding images out of others, the same share of each class."""

import torch
from torch import Tensor


def stratified(y: Tensor, number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw ``number`` of the labels ``y``, the same share of each class up to one image.

    Returns:
        The indices left and the indices drawn, both ascending.

    Raises:
        ValueError: If there are not that many.
    """
    total = len(y)
    if not 0 <= number <= total:
        raise ValueError(f"cannot draw {number} examples; allowed are 0 to {total}, all there are")
    shuffled = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    by_class = shuffled[torch.argsort(y[shuffled], stable=True)]
    # Evenly spaced places in a list sorted by class fall on each class in proportion.
    places = (2 * torch.arange(number) + 1) * total // max(1, 2 * number)
    drawn = torch.zeros(total, dtype=torch.bool)
    drawn[by_class[places]] = True
    return (~drawn).nonzero().flatten(), drawn.nonzero().flatten()

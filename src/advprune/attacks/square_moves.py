"""What Square tries: where its squares and windows stand, and what they change."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from advprune.threat import ThreatModel

Start = Callable[[Tensor, Tensor], Tensor]
"""(images, uniform numbers of each) → first proposals, like the images."""

Propose = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""(images, perturbed images, uniform numbers of each, side) → proposals, like the images."""


@dataclass(frozen=True)
class Moves:
    """Proposals in one norm, for images of one shape.

    Attributes:
        start: gives the first images.
        propose: changes a part of them.
        first: uniform numbers that an image's start needs.
        later: uniform numbers that each of its proposals needs.
    """

    start: Start
    propose: Propose
    first: int
    later: int


def side_of(share: float, shape: Sequence[int], norm: str) -> int:
    """Side of a square of that share of the pixels; odd and at least 3 for l2 and l1."""
    height, width = shape[-2:]
    side = max(round(math.sqrt(share * height * width)), 1 if norm == "linf" else 3)
    side += norm != "linf" and side % 2 == 0
    return min(side, height, width)


def linf_moves(threat: ThreatModel, shape: Sequence[int]) -> Moves:
    """Vertical stripes, then squares of one sign a channel (algorithm 2).

    A pixel that moves by 2 · eps and is brought back stands at an end of its range.
    """
    channels, _, width = shape

    def ends(x: Tensor, noise: Tensor) -> Tensor:
        return (x + threat.eps * _signs(noise)).clamp(*threat.bounds)

    def start(x: Tensor, noise: Tensor) -> Tensor:
        return ends(x, noise.view(-1, channels, 1, width))

    def propose(x: Tensor, current: Tensor, noise: Tensor, side: int) -> Tensor:
        window = _window(x, *_corners(x, noise, side), side)
        moved = ends(x.flatten(2).gather(2, window), noise[:, 2:, None])
        return current.flatten(2).scatter(2, window, moved).view_as(x)

    return Moves(start, propose, channels * width, 2 + channels)


def lp_moves(threat: ThreatModel, shape: Sequence[int]) -> Moves:
    """Tiles of opposite bumps, then mass that moves between two windows (algorithm 3)."""
    order = 2 if threat.norm == "l2" else 1
    channels, height, width = shape
    tile = max(min(height, width) // 5, 1)
    down, across = height // tile, width // tile
    above, before = (height - down * tile) // 2, (width - across * tile) // 2
    around = (before, width - across * tile - before, above, height - down * tile - above)

    def within(x: Tensor, delta: Tensor) -> Tensor:
        if order == 2:  # all of eps is used, also where delta is shorter
            delta = delta * (threat.eps / _norm(delta, 2, (1, 2, 3)))
        return threat.project(x + delta, x)

    def start(x: Tensor, noise: Tensor) -> Tensor:
        noise = noise.view(-1, channels + 1, down, across)
        bumps = _bump(tile, order, noise[:, :1]) * _signs(noise[:, 1:])[..., None, None]
        tiles = bumps.transpose(3, 4).reshape(-1, channels, down * tile, across * tile)
        return within(x, functional.pad(tiles, around))

    def propose(x: Tensor, current: Tensor, noise: Tensor, side: int) -> Tensor:
        window = _window(x, *_corners(x, noise, side), side)
        other = _window(x, *_corners(x, noise[:, 2:], side), side)
        delta = (current - x).flatten(2)
        old = delta.gather(2, window)
        emptied = delta.scatter(2, other, 0.0).scatter_(2, window, 0.0)
        moved = _norm(delta, order, (2,)) ** order - _norm(emptied, order, (2,)) ** order
        unused = (threat.eps**order - _norm(delta, order, (1, 2)) ** order).clamp(min=0)
        new = _bump(side, order, noise[:, 4]).flatten(1)[:, None] * _signs(noise[:, 5:])[..., None]
        new = new + old / _norm(old, order, (2,))
        length = (unused / channels + moved.clamp(min=0)) ** (1 / order)
        new = new * (length / _norm(new, order, (2,)))
        return within(x, emptied.scatter_(2, window, new).view_as(x))

    return Moves(start, propose, (channels + 1) * down * across, 5 + channels)


MOVES = {"linf": linf_moves, "l2": lp_moves, "l1": lp_moves}


def _signs(noise: Tensor) -> Tensor:
    return torch.where(noise < 0.5, -1.0, 1.0).to(noise.dtype)


def _corners(x: Tensor, noise: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """First rows and columns of squares, uniform where the image has room, two (batch,)."""
    height, width = x.shape[2:]
    return (noise[:, 0] * (height - side + 1)).long(), (noise[:, 1] * (width - side + 1)).long()


def _window(x: Tensor, top: Tensor, left: Tensor, side: int) -> Tensor:
    """Places of each image's window in its flattened planes, (batch, channels, side · side)."""
    width = x.shape[3]
    steps = torch.arange(side, device=x.device)
    rows, columns = top[:, None] + steps, left[:, None] + steps
    places = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
    return places[:, None].expand(-1, x.shape[1], -1)


def _bump(side: int, order: int, noise: Tensor) -> Tensor:
    """Two pyramids of opposite sign beside each other, of norm 1, turned where noise > 0.5.

    Args:
        side: side of the square.
        order: of the norm.
        noise: any shape.

    Returns:
        (*shape of noise, side, side).
    """
    half = side // 2
    whole = torch.cat([_pyramid(half, side, order), -_pyramid(side - half, side, order)]).to(noise)
    whole = whole / _norm(whole, order, (0, 1))
    return torch.where(noise[..., None, None] > 0.5, whole.t(), whole)


@cache
def _pyramid(height: int, width: int, order: int) -> Tensor:
    """Nested squares around the middle, the k-th adding 1 / k² (l2) or 1 / k⁴ (l1), of norm 1."""
    if not height:
        return torch.zeros(0, width)
    layers = max(height, width) // 2 + 1
    added = torch.arange(1, layers + 1) ** (-2.0 if order == 2 else -4.0)
    at_distance = added.flip(0).cumsum(0).flip(0)
    rows = (torch.arange(height) - height // 2).abs()
    columns = (torch.arange(width) - width // 2).abs()
    values = at_distance[torch.maximum(rows[:, None], columns[None, :])]
    return values / _norm(values, order, (0, 1))


def _norm(x: Tensor, order: int, dims: tuple[int, ...]) -> Tensor:
    """Norms over those dimensions, kept, never 0, so that one can divide by them."""
    norm: Tensor = torch.linalg.vector_norm(x, ord=order, dim=dims, keepdim=True)
    return norm.clamp(min=1e-12)

"""Shortest ways onto a hyperplane within the range of the pixels."""

import torch
from torch import Tensor

NEWTON_STEPS = 30
"""More than are needed: the sums are concave and piecewise linear."""
HUGE = 1e30
"""Farther than any pixel can go."""


def onto_hyperplane(
    x: Tensor, normal: Tensor, gap: Tensor, norm: str, bounds: tuple[float, float]
) -> Tensor:
    """The smallest d with ⟨w, d⟩ = gap that keeps x + d within the bounds.

    linf moves every pixel by min(λ, room) along sign(w), l2 by min(λ |w|, room), l1 the pixels of
    the largest |w| by all their room. Where the bounds do not allow the hyperplane to be reached,
    every pixel goes as far as it can.

    Source: Croce & Hein, "Minimally distorted adversarial examples with a fast adaptive boundary
    attack" (2020), section 2 and appendix A.

    Args:
        x: points, (..., rows, pixels).
        normal: w, (rows, pixels), for all that stand before.
        gap: how far ⟨w, ·⟩ is to rise, (..., rows); negative to fall.
        norm: "linf", "l2" or "l1".
        bounds: smallest and largest value of a pixel.

    Returns:
        d, like x.
    """
    low, high = bounds
    direction = torch.where(gap < 0, -1.0, 1.0).to(x)[..., None] * normal.sign()
    rising = torch.gt(direction, 0, out=torch.empty_like(x))
    room = torch.lerp(x - low, high - x, rising)  # to choose by bools is slow
    weight = normal.abs().expand_as(x)
    if norm == "l1":
        return direction * _largest_first(weight, room, gap.abs())
    if norm == "linf":
        return direction * torch.minimum(_reaching(weight, room, weight, room, gap.abs()), room)
    turns = room / weight.clamp(min=torch.finfo(weight.dtype).tiny)
    size = _reaching(weight, room, weight.square(), turns, gap.abs())
    return direction * torch.minimum(size * weight, room)


def _reaching(weight: Tensor, room: Tensor, rate: Tensor, turns: Tensor, gap: Tensor) -> Tensor:
    """The λ at which the gap is closed, by Newton's method, (..., rows, 1); huge where none does.

    A pixel adds rate · λ until λ = turns, then weight · room. The sum is concave in λ, so that
    each step from below stays below, and the last one is exact.
    """
    gains, gap = weight * room, gap[..., None]
    size = torch.zeros_like(gap)
    free = torch.empty_like(turns)
    for _ in range(NEWTON_STEPS):
        torch.gt(turns, size, out=free)
        slope = (rate * free).sum(-1, keepdim=True)
        used = (gains - gains * free).sum(-1, keepdim=True)
        after = torch.where(slope > 0, (gap - used) / slope, HUGE)
        after = torch.maximum(after, size)
        if torch.equal(after, size):
            break
        size = after
    return size


def _largest_first(weight: Tensor, room: Tensor, gap: Tensor) -> Tensor:
    """How far each pixel moves when those of the largest weight use up their room first."""
    falling, order = weight.sort(dim=-1, descending=True)
    gains = falling * room.gather(-1, order)
    missing = (gap[..., None] - (gains.cumsum(-1) - gains)).clamp(min=0)
    moved = torch.minimum(missing / falling.clamp(min=1e-30), room.gather(-1, order))
    moved = torch.where(falling > 0, moved, 0.0)
    return torch.zeros_like(room).scatter_(-1, order, moved)

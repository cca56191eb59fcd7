"""Parts of a region by the signs of ReLUs' inputs, and their bounds, ascended."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from advprune.bounds import (
    Interval,
    Intervals,
    Network,
    Region,
    adaptive,
    lower_bounds,
    lower_lines,
)
from advprune.bounds.linear import Lines, above

STEPS = 12
RATES = {"slopes": 0.2, "multipliers": 0.1}
"""Steps and rates of Adam, multiplied by 0.9 each step."""

Choice = tuple[str, int]
"""A ReLU's name and one of its elements."""


@dataclass(frozen=True, eq=False)
class Domains:
    """Parts of one image's region.

    Attributes:
        rows: what is bounded from below, (domains, rows, classes).
        intervals: of each ReLU's input by the ReLU's name, before any split, (1, *shape).
        signs: which inputs are held ≥ 0 (1) or ≤ 0 (-1), by the ReLU's name, (domains, *shape).
    """

    rows: Tensor
    intervals: dict[str, Interval]
    signs: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def root(cls, network: Network, intervals: Intervals, rows: Tensor) -> "Domains":
        """Returns the whole region as one domain."""
        known = {step.name: intervals.of(step.inputs[0]) for step in network.relus}
        signs = {name: torch.zeros(x.lower.shape, dtype=torch.int8) for name, x in known.items()}
        return cls(rows, known, signs)

    @classmethod
    def joined(cls, domains: Sequence["Domains"]) -> "Domains":
        """Returns domains of one image as one batch."""
        signs = {
            name: torch.cat([domain.signs[name] for domain in domains]) for name in domains[0].signs
        }
        rows = torch.cat([domain.rows for domain in domains])
        return cls(rows, domains[0].intervals, signs)

    def one(self, number: int) -> "Domains":
        """Returns one of the domains by itself."""
        chosen = slice(number, number + 1)
        signs = {name: value[chosen].clone() for name, value in self.signs.items()}
        return Domains(self.rows[chosen], self.intervals, signs)

    def split(self, number: int, name: str, element: int) -> tuple["Domains", "Domains"]:
        """Returns both halves of one domain by the sign of an element of a ReLU's input."""
        halves = self.one(number), self.one(number)
        for half, sign in zip(halves, (1, -1), strict=True):
            half.signs[name].view(-1)[element] = sign
        return halves

    def held(self, name: str) -> Interval:
        """Returns the intervals of a ReLU's input under the signs, (domains, *shape)."""
        before, sign = self.intervals[name], self.signs[name]
        lower = torch.where(sign > 0, before.lower.clamp(min=0), before.lower)
        return Interval(lower, torch.where(sign < 0, before.upper.clamp(max=0), before.upper))

    def known(self, network: Network, region: Region) -> Intervals:
        """Returns the same for all ReLUs, as `lower_lines` takes them."""
        held = {step.inputs[0]: self.held(step.name) for step in network.relus}
        return Intervals(network, region, held)

    def bounds(self, network: Network, region: Region) -> Tensor:
        """Returns lower bounds with the slopes of CROWN, (domains, rows)."""
        rows, intervals = {network.output: self.rows}, self.known(network, region)
        return lower_bounds(network, rows, intervals, region, adaptive)


def ascend(
    network: Network, region: Region, domains: Domains
) -> tuple[Tensor, Tensor, list[Choice | None]]:
    """Bounds each domain from below, and says where to split it.

    Args:
        network: the model.
        region: of one image.
        domains: with one row each.

    Returns:
        Bounds (domains,), the images at which their lines are lowest, and the element to split, or
        None where no sign is open.
    """
    intervals = domains.known(network, region)
    slopes = {step.name: adaptive("", intervals.of(step.inputs[0])) for step in network.relus}
    slopes = {name: value.clone().requires_grad_() for name, value in slopes.items()}
    factors = {
        name: torch.zeros_like(slopes[name], requires_grad=True)
        for name, sign in domains.signs.items()
        if bool(sign.any())
    }
    groups = [{"params": list(slopes.values()), "lr": RATES["slopes"]}]
    if factors:
        groups.append({"params": list(factors.values()), "lr": RATES["multipliers"]})
    optimiser = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.9)
    best = torch.full((len(domains),), -torch.inf, dtype=region.x.dtype)
    met: dict[str, Tensor] = {}
    for _ in range(STEPS):
        lines = _lines(network, domains, intervals, slopes, factors, met)
        bounds = (region.minimum(lines.coefficients) + lines.offset).squeeze(1)
        best = torch.maximum(best, bounds.detach())
        if bool((best > 0).all()):
            break
        optimiser.zero_grad()
        (-bounds.sum()).backward()  # type: ignore[no-untyped-call]  # torch states no types
        optimiser.step()
        schedule.step()
        _hold(slopes, factors)
    points = region.minimiser(lines.coefficients.detach()).squeeze(1)
    return best, points, _choices(domains, met)


def _lines(
    network: Network,
    domains: Domains,
    intervals: Intervals,
    slopes: dict[str, Tensor],
    factors: dict[str, Tensor],
    met: dict[str, Tensor],
) -> Lines:
    """Lines below the rows; a held sign s of input z adds -β s z, which is ≤ 0 in the domain."""
    multipliers = {
        name: -(factor * domains.signs[name]).unsqueeze(1) for name, factor in factors.items()
    }
    rows = {network.output: domains.rows}
    return lower_lines(network, rows, intervals, lambda name, _: slopes[name], multipliers, met)


@torch.no_grad()
def _hold(slopes: dict[str, Tensor], factors: dict[str, Tensor]) -> None:
    for slope in slopes.values():
        slope.clamp_(0, 1)
    for factor in factors.values():
        factor.clamp_(min=0)


@torch.no_grad()
def _choices(domains: Domains, met: dict[str, Tensor]) -> list[Choice | None]:
    """The open element at which the relaxation may lose most: |A| · (-l u / (u - l))."""
    scores, names = [], list(met)
    for name in names:
        held = domains.held(name)
        gap = above(held)[1] * met[name].squeeze(1).abs()
        open_ = (held.lower < 0) & (held.upper > 0)
        scores.append(torch.where(open_, gap, -1.0).flatten(1))
    sizes = [score.shape[1] for score in scores]
    values, places = torch.cat(scores, dim=1).max(1)
    return [
        _located(place, names, sizes) if value >= 0 else None
        for value, place in zip(values.tolist(), places.tolist(), strict=True)
    ]


def _located(place: int, names: list[str], sizes: list[int]) -> Choice:
    for name, size in zip(names, sizes, strict=True):
        if place < size:
            return name, place
        place -= size
    raise AssertionError("the place lies within the scores")

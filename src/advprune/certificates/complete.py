"""A complete check: branch and bound over the signs of ReLUs' inputs.

Linear bounds with slopes and multipliers of the split signs that ascend the bound (α, β-CROWN; Wang
et al. 2021, arXiv 2103.06624); a part of the region in which no sign is open is a linear program.
Max-pooling is written in ReLUs, so its choices are split likewise.
"""

import heapq
import itertools
import time
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from advprune.attacks import PGD
from advprune.bounds import Intervals, Network, Region, against, elided, network, refine
from advprune.certificates.ascent import Domains, ascend
from advprune.certificates.leaf import settle_leaf
from advprune.certificates.verdict import Verdict
from advprune.models import evaluating
from advprune.models.logits import logits_of
from advprune.threat import ThreatModel


@dataclass(frozen=True, eq=False)
class Answer:
    """What the check found about one image.

    Attributes:
        verdict: certified, wrong, counterexample, or undecided when the time was up.
        counterexample: (1, channels, height, width), of another class by a forward pass of the
            model as it is; None without one.
        domains: parts of the region that were bounded.
        seconds: time it took.
    """

    verdict: Verdict
    counterexample: Tensor | None
    domains: int
    seconds: float


@dataclass
class _Search:
    """One image's search: what it is about, and what it has used up."""

    model: nn.Module
    x: Tensor
    y: Tensor
    threat: ThreatModel
    deadline: float
    batch_size: int
    domains: int = 0
    found: Tensor | None = field(default=None)

    def fooled_by(self, points: Tensor) -> bool:
        """Whether one of these points, brought into the threat in float32, is a counterexample."""
        x_adv = self.threat.project(points.to(self.x).view(-1, *self.x.shape[1:]), self.x)
        with torch.no_grad():
            wrong = logits_of(self.model, x_adv).argmax(1) != self.y
        if bool(wrong.any()):
            self.found = x_adv[wrong][:1]
        return self.found is not None

    def is_late(self) -> bool:
        return time.monotonic() > self.deadline


def check_complete(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    *,
    seconds: float = 30.0,
    batch_size: int = 32,
    seed: int = 0,
) -> Answer:
    """Decides for one image whether any that the threat allows gets another answer.

    PGD looks for a counterexample first; then each other class is bounded, and where the bound is
    too loose the region is split by the sign of the ReLU whose relaxation may lose most. Given time
    it ends: certified up to rounding in double precision, or with a counterexample.

    Args:
        model: plain or gated, of operators that can be bounded.
        x: one image, (1, channels, height, width).
        y: its class, (1,) int64.
        threat: L∞.
        seconds: time after which it gives up.
        batch_size: parts of the region bounded at once.
        seed: of the attack.

    Raises:
        ValueError: another norm, more than one image, or a model that does not answer with logits.
        UnsupportedOperatorError: an operator that cannot be bounded, by name and place.
    """
    if threat.norm != "linf":
        raise ValueError(f"norm={threat.norm!r}: the complete check knows linf only")
    if len(x) != 1:
        raise ValueError(f"{len(x)} images are given; the complete check takes one at a time")
    started = time.monotonic()
    search = _Search(model, x, y, threat, started + seconds, batch_size)
    with evaluating(model):
        verdict = _decided(search, seed)
    elapsed = time.monotonic() - started
    return Answer(verdict, search.found, search.domains, elapsed)


def _decided(search: _Search, seed: int) -> Verdict:
    with torch.no_grad():
        logits = logits_of(search.model, search.x)
    if bool(logits.argmax(1) != search.y):
        return Verdict.WRONG
    if _attacked(search, seed):
        return Verdict.COUNTEREXAMPLE
    with torch.no_grad():
        bounded = network(search.model, search.x, dtype=torch.float64)
    return _bounded(search, bounded, Region(search.x.double(), search.threat), logits.shape[1])


def _bounded(search: _Search, bounded: Network, region: Region, classes: int) -> Verdict:
    rows = against(search.y, classes, region.x)
    with torch.no_grad():
        intervals = Intervals(bounded, region)
        root = Domains.root(bounded, intervals, rows)
        open_ = _open(root.bounds(bounded, region), elided(bounded, rows, intervals), search.y)
        if len(open_):
            refine(bounded, intervals, region)
            root = Domains.root(bounded, intervals, rows)
            open_ = _open(root.bounds(bounded, region), elided(bounded, rows, intervals), search.y)
    search.domains = 1
    for other in open_:
        start = Domains.root(bounded, intervals, rows[:, other : other + 1])
        verdict = _branched(search, bounded, region, start)
        if verdict is not Verdict.CERTIFIED:
            return verdict
    return Verdict.CERTIFIED


def _open(linear: Tensor, within: Tensor, y: Tensor) -> list[int]:
    """Classes whose margin is not above 0 yet, the closest decisions first."""
    best = torch.maximum(linear, within).scatter(1, y.unsqueeze(1), torch.inf)[0]
    return [int(k) for k in best.argsort(descending=True) if best[k] <= 0]


def _branched(search: _Search, bounded: Network, region: Region, start: Domains) -> Verdict:
    """Splits until every part is certified, one holds a counterexample, or the time is up."""
    order = itertools.count()
    waiting: list[tuple[float, int, Domains]] = [(-torch.inf, next(order), start)]
    doubtful = False
    while waiting:
        if search.is_late():
            return Verdict.UNDECIDED
        taken = [heapq.heappop(waiting)[2] for _ in range(min(search.batch_size, len(waiting)))]
        domains = Domains.joined(taken)
        search.domains += len(domains)
        bounds, points, choices = ascend(bounded, region, domains)
        if search.fooled_by(points):
            return Verdict.COUNTEREXAMPLE
        for number in (bounds <= 0).nonzero().flatten().tolist():
            choice = choices[number]
            if choice is not None:
                for child in domains.split(number, *choice):
                    heapq.heappush(waiting, (float(bounds[number]), next(order), child))
                continue
            least, point = settle_leaf(bounded, region, domains.one(number))
            if point is not None and search.fooled_by(point):
                return Verdict.COUNTEREXAMPLE
            doubtful |= least <= 0  # a tie that rounding in float32 decides the other way
    return Verdict.UNDECIDED if doubtful else Verdict.CERTIFIED


def _attacked(search: _Search, seed: int) -> bool:
    attack = PGD(search.threat, steps=40, restarts=2, loss="margin", stop_when_fooled=True)
    generator = torch.Generator().manual_seed(seed)
    return search.fooled_by(attack(search.model, search.x, search.y, generator=generator))

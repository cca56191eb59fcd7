"""The steps of Auto-PGD: how long, in which direction, and when to go back to the best iterate."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from advprune.threat import ThreatModel


class Climb(ABC):
    """Iterates of some climbs and what their steps depend on, a row of every tensor each.

    Args:
        threat: what the attacker may do.
        steps: number of steps.
        rho: see `APGD`.
        rows: which image of the batch each climbs from, (pairs,).
        centre: those images, (pairs, channels, height, width).
        current: where each starts, like `centre`.
    """

    def __init__(
        self,
        threat: ThreatModel,
        steps: int,
        rho: float,
        rows: Tensor,
        centre: Tensor,
        current: Tensor,
    ) -> None:
        self.threat = threat
        self.rho = rho
        self.checkpoints = self._checkpoints(steps)
        self.rows = rows
        self.pairs = torch.arange(len(rows), device=rows.device)
        self.centre = centre
        self.current = self.previous = self.best = current
        self.gradient = self.best_gradient = torch.zeros_like(current)
        self.loss = current.new_full((len(rows),), torch.inf)
        self.best_loss = -self.loss
        self.rises = torch.zeros_like(self.loss)
        self.size = torch.full_like(self.loss, threat.eps)

    def note(self, gradient: Tensor, losses: Tensor) -> None:
        """Take in gradient and loss at the current iterates."""
        losses = losses.to(self.loss.dtype)
        better = losses > self.best_loss
        self.best = torch.where(_wide(better), self.current, self.best)
        self.best_gradient = torch.where(_wide(better), gradient, self.best_gradient)
        self.best_loss = torch.where(better, losses, self.best_loss)
        self.rises = self.rises + (losses > self.loss)
        self.gradient, self.loss = gradient, losses

    def advance(self, step: int) -> None:
        """Go to the next iterates; step 0 starts from the start."""
        if step in self.checkpoints:
            self._check(self.checkpoints[step])
        self.current, self.previous = self._next(step), self.current

    def keep(self, kept: Tensor) -> None:
        """Go on with those pairs only, (pairs,) bool."""
        for name, value in list(vars(self).items()):
            if isinstance(value, Tensor):
                setattr(self, name, value[kept])

    def _return(self, back: Tensor) -> None:
        """Go back to the best iterate where `back`."""
        self.current = torch.where(_wide(back), self.best, self.current)
        self.gradient = torch.where(_wide(back), self.best_gradient, self.gradient)

    @staticmethod
    @abstractmethod
    def _checkpoints(steps: int) -> dict[int, int]:
        """Steps before which to check, and how many there were since the last check."""

    @abstractmethod
    def _check(self, length: int) -> None:
        """Choose the size of the steps anew, after that many of them."""

    @abstractmethod
    def _next(self, step: int) -> Tensor:
        """The next iterates."""


class MomentumClimb(Climb):
    """linf and l2: Croce & Hein (2020), algorithm 1."""

    def __init__(
        self,
        threat: ThreatModel,
        steps: int,
        rho: float,
        rows: Tensor,
        centre: Tensor,
        current: Tensor,
    ) -> None:
        super().__init__(threat, steps, rho, rows, centre, current)
        self.size = 2 * self.size
        self.halved = torch.ones_like(rows, dtype=torch.bool)
        self.best_before = self.best_loss

    @staticmethod
    def _checkpoints(steps: int) -> dict[int, int]:
        """Segments of 22 % of the steps, each 3 % shorter than the last, down to 6 %."""
        length, least, shorter = (max(int(share * steps), 1) for share in (0.22, 0.06, 0.03))
        found, step = {}, length
        while step < steps:
            found[step] = length
            length = max(length - shorter, least)
            step += length
        return found

    def _check(self, length: int) -> None:
        stuck = ~self.halved & (self.best_before >= self.best_loss)
        self.halved = (self.rises <= self.rho * length) | stuck
        self.size = torch.where(self.halved, self.size / 2, self.size)
        self._return(self.halved)
        self.best_before, self.rises = self.best_loss, torch.zeros_like(self.rises)

    def _next(self, step: int) -> Tensor:
        project = self.threat.projection(self.centre)
        ascent = self.threat.ascent(self.gradient, self.current)
        stepped = project(self.current + _wide(self.size) * ascent)
        if step == 0:
            return stepped
        return project(0.75 * stepped + 0.5 * self.current - 0.25 * self.previous)


class SparseClimb(Climb):
    """l1: Croce & Hein (2021), algorithm 1; steps on the largest entries of the gradient.

    They are two thirds as many as the best iterate has changed pixels. Where these become fewer
    by 5 % the step is as long as the radius again, otherwise 1.5 times shorter, down to a tenth.
    """

    def __init__(
        self,
        threat: ThreatModel,
        steps: int,
        rho: float,
        rows: Tensor,
        centre: Tensor,
        current: Tensor,
    ) -> None:
        super().__init__(threat, steps, rho, rows, centre, current)
        self.changed = self._changed()
        self.moved = self.changed / 1.5

    @staticmethod
    def _checkpoints(steps: int) -> dict[int, int]:
        length = max(int(0.04 * steps), 1)
        return dict.fromkeys(range(length, steps, length), length)

    def _changed(self) -> Tensor:
        return (self.best != self.centre).flatten(1).sum(1).to(self.loss.dtype)

    def _check(self, _length: int) -> None:
        changed = self._changed()
        sparser = changed < 0.95 * self.changed
        self.changed, self.moved = changed, changed / 1.5
        eps = self.threat.eps
        self.size = torch.where(sparser, eps, (self.size / 1.5).clamp(min=eps / 10))
        self._return(sparser)

    def _next(self, _step: int) -> Tensor:
        flat = self.gradient.flatten(1)
        falling = flat.abs().sort(dim=1, descending=True).values
        last = (self.moved.ceil().long() - 1).clamp(0, flat.shape[1] - 1)
        signs = flat.sign() * (flat.abs() >= falling.gather(1, last[:, None]))
        signs = signs / signs.abs().sum(1, keepdim=True).clamp(min=1)
        return self.threat.project(
            self.current + _wide(self.size) * signs.view_as(self.current), self.centre
        )


ASCENTS: dict[str, type[Climb]] = {"linf": MomentumClimb, "l2": MomentumClimb, "l1": SparseClimb}


def _wide(values: Tensor) -> Tensor:
    """One value an image, to be combined with images."""
    return values[:, None, None, None]

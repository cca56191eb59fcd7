"""Holding the cost of a gated network to a path that falls to its budget.

The weight of the KL is multiplied by ``exp(min(p e, 1) + i ∫ e)``, where
``e = log(cost / target)``: a proportional-integral controller in the logarithmic domain, so that it
does not matter how large the KL, the network or the data set is. Dead units seldom come back, so an
overshoot cannot be mended: below the target the integral is drained faster than it was filled, and
the cost is one that falls before units die (``foreseen_macs``). What was drained below zero comes
back as fast, or a network whose first units died early would not shrink again in time.

Gates answer late, since optimisers move them at a bounded speed: in a phase of few steps the cost
is far above its path before the first unit can die. The error of the moment therefore raises the
weight no more than 2.7 times; under a KL that outweighs the loss all units would die alike.
"""

import dataclasses
import math

import torch
from torch import Tensor

from advprune.gates.base import ACTIVE_ABOVE
from advprune.structure import Structure
from advprune.training.parts import Budget

_PROPORTIONAL = 8.0
_INTEGRAL = 40.0
_FAST = 10.0
_LIMIT = 8.0
_AT_ONCE = 1.0
_NOTHING = 1e-6  # a cost of 0 has no logarithm
_SAFE = 0.05
"""A gate whose score is larger is far from death; one between this and its death is on its way."""


@dataclasses.dataclass(frozen=True)
class Controller:
    """State of the controller.

    Attributes:
        integral: Integral of the error over the phase's progress, times its gain.
        multiplier: What the weight of the KL is multiplied by.
    """

    integral: float = 0.0
    multiplier: float = 1.0


def foreseen_macs(structure: Structure, scores: Tensor) -> float:
    """Multiply-accumulates where a unit on its way to death counts the less the further it is.

    A unit counts ``log(m / d) / log(s / d)``, clamped to [0, 1], where m is its gate's score, d the
    score at which it dies and s = 0.05. Optimisers move a score's logarithm at a bounded speed, so
    this is a forecast some dozens of steps long.

    Args:
        structure: Of the gated network.
        scores: (all units,) scores of the gates.
    """
    share = torch.log(scores.clamp_min(1e-12) / ACTIVE_ABOVE) / math.log(_SAFE / ACTIVE_ABOVE)
    alive = torch.cat([share.clamp(0, 1), share.new_ones(1)])
    return sum(
        layer.pair_macs
        * float(torch.stack([alive[units] for units in layer.inputs]).prod(0).sum())
        * float(alive[layer.outputs].sum())
        for layer in structure.layers.values()
    )


def target(budget: Budget, progress: float) -> float:
    """Share of the cost that is wanted at ``progress`` (share of the phase): falls geometrically.

    ``macs ** min(1, progress / settled_at)``, so that each step asks for the same relative cut.
    """
    assert budget.macs is not None
    return float(budget.macs ** min(1.0, progress / budget.settled_at))


def update(
    controller: Controller, cost: float, budget: Budget, progress: float, elapsed: float
) -> Controller:
    """One move of the controller.

    Args:
        controller: Its state so far.
        cost: Present share of the unpruned cost, in [0, 1].
        budget: What is wanted.
        progress: Share of the phase's steps already taken.
        elapsed: Share of the phase since the last move.

    Returns:
        The new state.
    """
    error = math.log(max(cost, _NOTHING) / target(budget, progress))
    gain = _INTEGRAL * (_FAST if error < 0 or controller.integral < 0 else 1.0)
    integral = _clamp(controller.integral + gain * error * elapsed)
    return Controller(integral, math.exp(_clamp(min(_PROPORTIONAL * error, _AT_ONCE) + integral)))


def _clamp(value: float) -> float:
    return max(-_LIMIT, min(_LIMIT, value))

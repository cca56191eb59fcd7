"""Holding the cost of a gated network to a path that falls to its budget.

The weight of the KL is multiplied by ``exp(p e + i ∫ e)``, where ``e = log(cost / target)``: a
proportional-integral controller in the logarithmic domain, so that it does not matter how large
the KL, the network or the data set is. Dead units seldom come back, so an overshoot cannot be
mended: below the target the integral is drained faster than it was filled.
"""

import dataclasses
import math

from advprune.training.settings import Budget

_PROPORTIONAL = 4.0
_INTEGRAL = 40.0
_DRAIN = 4.0
_LIMIT = 8.0


@dataclasses.dataclass(frozen=True)
class Controller:
    """State of the controller.

    Attributes:
        integral: Integral of the error over the phase's progress, times its gain.
        multiplier: What the weight of the KL is multiplied by.
    """

    integral: float = 0.0
    multiplier: float = 1.0


def target(budget: Budget, progress: float) -> float:
    """Share of the cost that is wanted at ``progress`` (share of the phase): falls geometrically.

    ``macs ** min(1, progress / settled_at)``, so that each step asks for the same relative cut.
    """
    return float(budget.macs ** min(1.0, progress / budget.settled_at))


def update(
    controller: Controller, cost: float, budget: Budget, progress: float, elapsed: float
) -> Controller:
    """One move of the controller.

    Args:
        controller: Its state so far.
        cost: Present share of the unpruned cost, in (0, 1].
        budget: What is wanted.
        progress: Share of the phase's steps already taken.
        elapsed: Share of the phase since the last move.

    Returns:
        The new state.
    """
    error = math.log(cost / target(budget, progress))
    gain = _INTEGRAL * (1.0 if error > 0 else _DRAIN)
    integral = _clamp(controller.integral + gain * error * elapsed)
    return Controller(integral, math.exp(_clamp(_PROPORTIONAL * error + integral)))


def _clamp(value: float) -> float:
    return max(-_LIMIT, min(_LIMIT, value))

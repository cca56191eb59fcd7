"""How rates, eps and the weight of the KL move while a phase runs.

Everything here is a pure function of progress, so a schedule has no state to save.
"""

import math

from advprune.training.settings import Phase

_ONE_CYCLE_RISE = 0.3
_ONE_CYCLE_START = 0.04


def rate_factor(phase: Phase, progress: float) -> float:
    """Share of the peak learning rate.

    Args:
        phase: Names the schedule.
        progress: Share of the phase's steps already taken, in [0, 1).

    Returns:
        ``constant``: 1. ``steps``: ``decay`` to the number of milestones passed. ``cosine``:
        half a cosine from 1 to 0. ``one_cycle``: up linearly from 0.04 over the first 30 %, then
        half a cosine to 0 (after Smith and Topin, "Super-convergence", 2018).
    """
    if phase.schedule == "steps":
        return phase.decay ** sum(progress >= milestone for milestone in phase.milestones)
    if phase.schedule == "cosine":
        return _half_cosine(progress)
    if phase.schedule == "one_cycle":
        if progress < _ONE_CYCLE_RISE:
            return _ONE_CYCLE_START + (1 - _ONE_CYCLE_START) * progress / _ONE_CYCLE_RISE
        return _half_cosine((progress - _ONE_CYCLE_RISE) / (1 - _ONE_CYCLE_RISE))
    return 1.0


def warmup(epochs: float, elapsed: float) -> float:
    """Rises linearly to 1 over ``epochs``; ``elapsed`` is measured in epochs too."""
    return min(1.0, elapsed / epochs) if epochs > 0 else 1.0


def _half_cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * share))

"""What a network is worth: suites of attacks, checks of the figures, cost."""

from advprune.evaluation.aimed import Aimed, Share, Targeted, Turn
from advprune.evaluation.bayesian import Belief, PosteriorMean, bayesian
from advprune.evaluation.cost import Cost, cost
from advprune.evaluation.curve import Curve, curve
from advprune.evaluation.environment import environment
from advprune.evaluation.evaluate import evaluate
from advprune.evaluation.fresh import fresh_source
from advprune.evaluation.paired import Paired, paired
from advprune.evaluation.prunable import Check, LayerCheck, check
from advprune.evaluation.repeated import Repeats, Spread, repeat, spread
from advprune.evaluation.result import (
    AttackFigure,
    ClassFigure,
    Finding,
    Result,
    interval,
    side_by_side,
    write_json,
)
from advprune.evaluation.sample import model_hash
from advprune.evaluation.smallest import Smallest
from advprune.evaluation.suites import SUITES
from advprune.evaluation.targeted import targeted
from advprune.evaluation.verify import Verification, verify

__all__ = [
    "SUITES",
    "Aimed",
    "AttackFigure",
    "Belief",
    "Check",
    "ClassFigure",
    "Cost",
    "Curve",
    "Finding",
    "LayerCheck",
    "Paired",
    "PosteriorMean",
    "Repeats",
    "Result",
    "Share",
    "Smallest",
    "Spread",
    "Targeted",
    "Turn",
    "Verification",
    "bayesian",
    "check",
    "cost",
    "curve",
    "environment",
    "evaluate",
    "fresh_source",
    "interval",
    "model_hash",
    "paired",
    "repeat",
    "side_by_side",
    "spread",
    "targeted",
    "verify",
    "write_json",
]

"""Searches of their own that a figure must stand: other radii, fresh starts."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from advprune.attacks import PGD
from advprune.evaluation.attempt import Target, attempt
from advprune.evaluation.checks.table import exceeding
from advprune.evaluation.result import Finding
from advprune.threat import ThreatModel

SURVIVORS = 256
"""Survivors that meet fresh starts, at most."""


def check_radii(model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel) -> Iterator[Finding]:
    """Look for attacks that do less at a larger radius, or not all at one that allows all.

    Source: Athalye, Carlini & Wagner (2018), section 3.1; Carlini et al., "On evaluating
    adversarial robustness" (2019), section 4.

    Args:
        model: Classifier in evaluation mode.
        x: Images, (batch, channels, height, width).
        y: True classes, (batch,).
        threat: Whose radius is halved and, in linf and l2, raised until any image can be grey.
    """
    low, high = threat.bounds
    everything = {"linf": (high - low) / 2, "l2": (high - low) / 2 * x[0].numel() ** 0.5}
    with torch.no_grad():
        right = model(x).argmax(1) == y
    broken = {eps: _broken(model, x, y, threat.at(eps)) for eps in (threat.eps / 2, threat.eps)}
    lost = right & broken[threat.eps / 2] & ~broken[threat.eps]
    yield from exceeding({"larger radius weaker": lost.float().mean().item()})
    if threat.norm in everything:
        left = right & ~_broken(model, x, y, threat.at(everything[threat.norm]))
        excess = (int(left.sum()) - int(torch.bincount(y).max())) / len(y)
        yield from exceeding({"accuracy at a radius of everything": excess})


def check_restarts(target: Target, threat: ThreatModel, survivors: Tensor) -> Iterator[Finding]:
    """Look for survivors that fall to the same kind of attack from fresh starts.

    Args:
        target: The model on trial and its sample.
        threat: What the attacker may do.
        survivors: Which examples no attack broke, (examples,) bool.
    """
    rows = survivors.nonzero().squeeze(1)[:SURVIVORS]
    if len(rows):
        attack = PGD(threat, steps=40, loss="margin")
        made = attempt(target, "fresh starts", attack, target.model, rows)
        fallen = 1 - made.right.float().mean().item()
        yield from exceeding({"restarts still lower the figure": fallen})


def _broken(model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
    return PGD(threat, steps=20).run(model, x, y).fooled

"""Accuracy over the attacker's radius."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.console import Group
from rich.table import Table
from torch import Tensor, nn

from advprune.data import Data
from advprune.evaluation.attempt import Target, attempt
from advprune.evaluation.result import Finding
from advprune.evaluation.sample import gather
from advprune.evaluation.suites import quick
from advprune.models import evaluating
from advprune.threat import ThreatModel

MASKED = (
    "At this radius every image can become a grey one (0.5) or any other (1): attacks that leave "
    "more than this are misled, and the figures at smaller radii flatter as well."
)
MOVED = (
    "Attacks of radius 0 change no image, and yet answers changed: the model answers at random "
    "(evaluate it with repeats), or an attack is broken."
)


@dataclass(frozen=True)
class Curve:
    """Accuracy against radius.

    Attributes:
        accuracies: Share of examples right after all attacks, by radius, ascending. At 0 it is
            the clean accuracy. What a smaller radius broke is broken for every larger one.
        warnings: Answers that change at radius 0, and signs of masked gradients: in linf, more than
            chance at 0.5 or more than 0 at 1.
    """

    accuracies: dict[float, float]
    warnings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """The points, (radius, accuracy) each, and the warnings as plain JSON values."""
        points = [[eps, accuracy] for eps, accuracy in self.accuracies.items()]
        return {"curve": points, "curve_warnings": [asdict(finding) for finding in self.warnings]}

    def __rich__(self) -> Group:
        """The table that a terminal shows."""
        table = Table("eps", "accuracy %", title="all attacks of the suite quick")
        for eps, accuracy in self.accuracies.items():
            table.add_row(f"{eps:.4g}", f"{100 * accuracy:.2f}")
        return Group(table, *(f"{finding.level}  {finding}" for finding in self.warnings))


def curve(
    model: nn.Module,
    data: Data,
    norm: str,
    eps_values: Sequence[float | str] = (0, 0.5, 1),
    *,
    seed: int = 0,
    batch_size: int = 128,
    subset: int | None = None,
) -> Curve:
    """Attack a model at several radii, with the attacks of the suite "quick".

    Args:
        model: Classifier of images in [0, 1] to logits; left as it was.
        data: As in `evaluate`.
        norm: "linf", "l2" or "l1".
        eps_values: Radii, as numbers or such as "8/255"; 0 is always measured too.
        seed: Seed of all noise and of the subset.
        batch_size: Images a batch.
        subset: Number of examples to draw, classes keeping their shares; None takes all.

    Returns:
        The accuracies.

    Raises:
        ValueError: If a setting or image is impossible.
    """
    threat = ThreatModel(norm=norm, eps=1.0)
    threats = {one.eps: one for one in (threat.at(eps) for eps in (0.0, *eps_values))}
    sample = gather(data, batch_size, subset=subset, seed=seed)
    threat.check_images(sample.x)
    target = Target(model, sample, batch_size, seed)
    accuracies: dict[float, float] = {}
    with evaluating(model):
        survivors = clean = target.right(sample.x, target.rows())
        for eps in sorted(threats):
            survivors = _after(target, threats[eps], survivors)
            accuracies[eps] = survivors.sum().item() / len(sample)
    moved = clean.double().mean().item() - accuracies[0]
    return Curve(accuracies, (*_moved(moved), *_findings(norm, accuracies, sample.y)))


def _after(target: Target, threat: ThreatModel, survivors: Tensor) -> Tensor:
    for name, trial in quick(threat).items():
        rows = survivors.nonzero().squeeze(1)
        made = attempt(target, f"{name} at {threat.eps:.4g}", trial.attack, target.model, rows)
        survivors = made.right_in(survivors)
    return survivors


def _moved(accuracy: float) -> list[Finding]:
    return [Finding("accuracy lost at eps 0", accuracy, 0.0, MOVED, "alarm")] if accuracy else []


def _findings(norm: str, accuracies: dict[float, float], y: Tensor) -> list[Finding]:
    """Compare with what a model must fall to: the commonest class at 0.5, nothing at 1."""
    chance = torch.bincount(y).max().item() / len(y)
    limits = {0.5: chance, 1.0: 0.0} if norm == "linf" else {}
    return [
        Finding(f"accuracy at eps {eps:g}", accuracies[eps], limit, MASKED, "alarm")
        for eps, limit in limits.items()
        if accuracies.get(eps, 0.0) > limit
    ]

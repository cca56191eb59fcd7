"""What targeted attacks reached."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Group
from rich.table import Table
from torch import Tensor

from advprune.evaluation.result import Finding, as_text, interval, write_json

SCHEMA = 1
"""Version of the JSON that `Targeted.to_dict` gives."""

SHOWN = 10
"""Classes whose whole matrix a terminal shows; of more, so many of the easiest turns."""


@dataclass(frozen=True)
class Share:
    """How many of some attempts succeeded.

    Attributes:
        reached: So many did.
        of: Out of so many.
        share: Their share; None where there was none to try.
        interval: Exact 95 % interval (Clopper and Pearson) of the share, as if the attempts were
            independent.
    """

    reached: int
    of: int
    share: float | None
    interval: tuple[float, float]


@dataclass(frozen=True)
class Turn:
    """How often one class was turned into another.

    Attributes:
        label: The true class.
        target: The class that the attacker asked for.
        images: Images of that class, right before, that were attacked towards this target.
        reached: How many of them the model answers with the target.
        success: Their share.
    """

    label: int
    target: int
    images: int
    reached: int
    success: float


@dataclass(frozen=True)
class Aimed:
    """What one attack did, over all targets.

    Attributes:
        pairs: Pairs of image and target that it met, those that no attack before it reached.
        reached: How many of them the model answers with the target, by one more classification of
            the stored images.
        reached_by_attack: The same number by the attack's own count.
        reached_as_png: How many of those reached still are where the images are rounded to 8 bits a
            pixel.
        budget: Every setting of the attack.
        forward_passes: Images sent forward through the model.
        backward_passes: Images whose gradient was taken.
        seconds: Time it took.
        notes: What the attack had to do otherwise than its budget says.
    """

    pairs: int
    reached: int
    reached_by_attack: int
    reached_as_png: int
    budget: dict[str, object]
    forward_passes: int
    backward_passes: int
    seconds: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Targeted:
    """Which answers an attacker can have for which images.

    Only images that the model gets right are attacked. Each figure is a lower bound on what
    stronger attacks reach.

    Attributes:
        success: Of all pairs of an image and a target: how likely a target drawn at random is
            reached. Pairs of one image depend on each other, so that its interval is too narrow.
        best_target: Of all images: for how many the model answers one of the targets at least, the
            best for the attacker.
        worst_target: Of all images: for how many every target tried can be had, the worst included.
        matrix: Of each true class and each target, where pairs were tried; by class, then target.
        attacks: What each attack did, by name, in the order they ran.
        warnings: Signs that the figures are too low; none found is no proof.
        targets: Targets tried of each image, the likeliest wrong classes.
        classes: Classes that the model answers.
        wrong: Examples that were wrong before any attack, left out of every figure.
        examples: Examples judged, those that were wrong included.
        data_examples: Examples in the data set.
        gradients: See `Result`.
        threat: Norm, radius and bounds.
        seed: Seed of all noise and of the subset.
        batch_size: Images a batch, of the attacks and of the classification.
        data_hash: SHA-256 of the judged images and labels.
        model_hash: SHA-256 of the model's parameters and buffers.
        environment: Versions, processor, threads, commit.
        seconds: Time of the whole evaluation.
    """

    success: Share
    best_target: Share
    worst_target: Share
    matrix: tuple[Turn, ...]
    attacks: dict[str, Aimed]
    warnings: tuple[Finding, ...]
    targets: int
    classes: int
    wrong: int
    examples: int
    data_examples: int
    gradients: dict[str, str]
    threat: dict[str, Any]
    seed: int
    batch_size: int
    data_hash: str
    model_hash: str
    environment: dict[str, Any]
    seconds: float

    def rates(self) -> Tensor:
        """The success of true class (row) and target (column), (classes, classes).

        Not a number where no pair was tried, as on the diagonal.
        """
        rates = torch.full((self.classes, self.classes), torch.nan, dtype=torch.float64)
        for turn in self.matrix:
            rates[turn.label, turn.target] = turn.success
        return rates

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {"schema": SCHEMA, **asdict(self)}

    def to_json(self, path: str | Path) -> Path:
        """Write everything to a JSON file, whole or not at all."""
        return write_json(path, self.to_dict())

    def __str__(self) -> str:
        return as_text(self)

    def __rich__(self) -> Group:
        """The tables that a terminal shows."""
        which = _matrix(self) if self.classes <= SHOWN else _easiest(self)
        said = (f"{finding.level}  {finding}" for finding in self.warnings)
        return Group(_figures(self), which, *said)


def share(hits: Tensor) -> Share:
    """The share of attempts that succeeded, (attempts,) bool."""
    reached, of = int(hits.sum()), len(hits)
    return Share(reached, of, reached / of if of else None, interval(reached, of))


def _figures(found: Targeted) -> Table:
    threat, images = found.threat, found.examples - found.wrong
    table = Table(
        title=f"targeted, {threat['norm']} eps {threat['eps']:.4g}, {found.targets} targets each "
        f"of {images} images, seed {found.seed}",
        caption=f"{found.wrong} of {found.examples} examples were wrong already: not attacked",
    )
    for heading in ("reached", "%", "meaning"):
        table.add_column(heading, justify="right" if heading == "%" else "left")
    table.add_row("all pairs", *_cells(found.success, "pairs of image and target"))
    table.add_row("best target", *_cells(found.best_target, "images, by one target at least"))
    table.add_row("worst target", *_cells(found.worst_target, "images, by every target"))
    table.add_section()
    for name, figure in found.attacks.items():
        reached = figure.reached / found.success.of if found.success.of else None
        table.add_row(name, _percent(reached), _did(figure))
    return table


def _cells(one: Share, what: str) -> tuple[str, str]:
    low, high = (_percent(bound) for bound in one.interval)
    said = f"{one.reached} of {one.of} {what}; 95 % interval {low} to {high}"
    return _percent(one.share), said


def _did(figure: Aimed) -> str:
    did = f"{figure.reached} of the {figure.pairs} pairs it met"
    if figure.reached:
        did += f", {figure.reached_as_png} as PNG files too"
    if figure.reached_by_attack != figure.reached:
        did += f"; {figure.reached_by_attack} by its own count"
    return "; ".join((did, *figure.notes))


def _matrix(found: Targeted) -> Table:
    table = Table("class", title="% reached, class → target")
    for target in range(found.classes):
        table.add_column(str(target), justify="right")
    for label, rates in enumerate(found.rates().tolist()):
        cells = ("" if math.isnan(rate) else f"{100 * rate:.0f}" for rate in rates)
        table.add_row(str(label), *cells)
    return table


def _easiest(found: Targeted) -> Table:
    table = Table("class", "target", "% reached", "images", title=f"the {SHOWN} easiest turns")
    easiest = sorted(found.matrix, key=lambda turn: (turn.success, turn.images), reverse=True)
    for turn in easiest[:SHOWN]:
        of = f"{turn.reached} of {turn.images}"
        table.add_row(str(turn.label), str(turn.target), _percent(turn.success), of)
    return table


def _percent(one: float | None) -> str:
    return "none" if one is None else f"{100 * one:.2f}"

"""What an evaluation found, and what it rests on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.table import Table
from scipy.special import betaincinv  # type: ignore[import-untyped]
from torch import Tensor

from advprune.evaluation.families import Family, family_rows
from advprune.evaluation.smallest import Smallest, median
from advprune.files import write_text

Level = Literal["note", "warning", "alarm"]

SCHEMA = 3
"""Version of the JSON that `Result.to_dict` gives."""


@dataclass(frozen=True)
class AttackFigure:
    """What one attack left.

    Attributes:
        accuracy: Share of all examples that the model still gets right on the images of this
            attack, by one more classification of the stored images. Examples that the attack did
            not meet, broken already, count as wrong.
        alone: Whether it met every example, so that the accuracy is its own; otherwise it is that
            after this attack and those before it.
        accuracy_by_attack: The same share by the attack's own count; None where it did not look at
            this model (transfer) or did not count.
        examples: Examples that it met.
        budget: Every setting of the attack.
        forward_passes: Images sent forward through the attacked model.
        backward_passes: Images whose gradient was taken.
        seconds: Time it took.
        distances: Of an attack that seeks the smallest perturbation, its norm for each example met,
            in their order; None where none was found.
        notes: What the attack had to do otherwise than its budget says.
        survive_png: Share of its images that fool the model which still do so rounded to 8 bits a
            pixel; None where none fools, or of a result from before this was counted.
    """

    accuracy: float
    alone: bool
    accuracy_by_attack: float | None
    examples: int
    budget: dict[str, object]
    forward_passes: int
    backward_passes: int
    seconds: float
    distances: tuple[float | None, ...] | None = None
    notes: tuple[str, ...] = ()
    survive_png: float | None = None

    @property
    def counts_differ(self) -> bool:
        """Whether the attack counted otherwise than the classification of its stored images."""
        return self.accuracy_by_attack not in (None, self.accuracy)


@dataclass(frozen=True)
class ClassFigure:
    """What is left of one class.

    Attributes:
        label: The class.
        examples: Examples of it that were judged.
        clean: Share of them that the model gets right.
        robust: Share of them right before and after every attack.
    """

    label: int
    examples: int
    clean: float
    robust: float


@dataclass(frozen=True)
class Finding:
    """A sign that a figure is not what it seems.

    Attributes:
        name: Which check.
        figure: What was measured.
        threshold: What it exceeds.
        text: What it means and what to do.
        level: "note" to be known, "warning" to be looked into, "alarm" where the figures are not to
            be believed before it is cleared.
    """

    name: str
    figure: float
    threshold: float
    text: str
    level: Level = "warning"

    def __str__(self) -> str:
        return f"{self.name}: {self.figure:.4g} exceeds {self.threshold:.4g}. {self.text}"


@dataclass(frozen=True, eq=False)
class Result:
    """What a suite of attacks left of a model's accuracy.

    Attributes:
        clean: Accuracy on the given images.
        robust: Share of the examples that are right before and after every attack: the worst case
            of each example over all attacks. An upper bound on what stronger attacks leave.
        clean_interval: Exact 95 % interval (Clopper and Pearson) of `clean`.
        robust_interval: The same of `robust`.
        classes: The same of each class that has examples, by label.
        attacks: What each attack left, by name, in the order they ran.
        warnings: Signs that the figures are not what they seem; none found is no proof.
        smallest: The smallest perturbations found, where an attack that seeks them met every
            example.
        families: What was left of each family of attacks, where the suite has several; a weakness
            is weighed against the own threat by `accuracy` of each.
        gradients: Whose gradients the attacks took in place of a layer's own (`backward_as`), by
            its name, "" for the model itself.
        images: Where the attacked images were kept, and the SHA-256 of each file of each attack;
            None where they were not. `verify` checks them.
        survivors: Which examples are right before and after every attack, (examples,) bool.
        indices: Where each example stands in the data set, (examples,).
        suite: Name of the suite.
        threat: Norm, radius and bounds.
        seed: Seed of all noise and of the subset.
        batch_size: Images a batch, of the attacks and of the classification.
        examples: Examples judged.
        data_examples: Examples in the data set.
        data_hash: SHA-256 of the judged images and labels.
        model_hash: SHA-256 of the model's parameters and buffers.
        environment: Versions, processor, threads, commit.
        seconds: Time of the whole evaluation.
    """

    clean: float
    robust: float
    clean_interval: tuple[float, float]
    robust_interval: tuple[float, float]
    classes: tuple[ClassFigure, ...]
    attacks: dict[str, AttackFigure]
    warnings: tuple[Finding, ...]
    smallest: Smallest | None
    families: tuple[Family, ...]
    gradients: dict[str, str]
    images: dict[str, Any] | None
    survivors: Tensor
    indices: Tensor
    suite: str
    threat: dict[str, Any]
    seed: int
    batch_size: int
    examples: int
    data_examples: int
    data_hash: str
    model_hash: str
    environment: dict[str, Any]
    seconds: float

    @property
    def worst_class(self) -> ClassFigure:
        """The class of the least robust accuracy."""
        return min(self.classes, key=lambda one: one.robust)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values.

        `survivors` is a string of hex digits: the examples' bits, eight a byte, the first example
        in the highest bit. `indices` are there only for a part of the data set.
        """
        content = asdict(self)
        content["survivors"] = np.packbits(self.survivors.numpy()).tobytes().hex()
        whole = self.examples == self.data_examples
        content["indices"] = None if whole else self.indices.tolist()
        return {"schema": SCHEMA, **content}

    def to_json(self, path: str | Path) -> Path:
        """Write everything to a JSON file, whole or not at all."""
        return write_json(path, self.to_dict())

    def __str__(self) -> str:
        return as_text(self)

    def __rich__(self) -> Group:
        """The table that a terminal shows."""
        tables = [self._table()] if self.smallest is None else [self._table(), self.smallest]
        return Group(*tables, *(f"{finding.level}  {finding}" for finding in self.warnings))

    def _table(self) -> Table:
        threat = f"{self.threat['norm']} eps {self.threat['eps']:.4g}"
        table = Table(title=f"{self.suite}, {threat}, {self.examples} examples, seed {self.seed}")
        for heading in ("images", "accuracy %", "fool as PNG %", "meaning"):
            table.add_column(heading, justify="right" if "%" in heading else "left")
        table.add_row("clean", _percent(self.clean), "", _interval_text(self.clean_interval))
        self._add_attacks(table)
        worst = f"each example's worst case; {_interval_text(self.robust_interval)}"
        table.add_row("all attacks", _percent(self.robust), "", worst)
        least = self.worst_class
        meaning = f"class {least.label}, {least.examples} examples, all attacks"
        table.add_row("worst class", _percent(least.robust), "", meaning)
        for layer, whose in self.gradients.items():
            table.add_row(f"gradients of {layer}" if layer else "gradients", "", "", whose)
        return table

    def _add_attacks(self, table: Table) -> None:
        for rows in family_rows(self.families, self.attacks):
            table.add_section()
            for name, accuracy, meaning in rows:
                table.add_row(name, _percent(accuracy), "", meaning)
        for name, figure in self.attacks.items() if not self.families else ():
            png = "" if figure.survive_png is None else _percent(figure.survive_png)
            table.add_row(name, _percent(figure.accuracy), png, _meaning(figure))
        if self.families:
            figures = {family.name: family.accuracy for family in self.families}
            table.add_section()
            mean = sum(figures.values()) / len(figures)
            table.add_row("mean of the families", _percent(mean), "", f"{len(figures)} families")
            least = min(figures, key=figures.__getitem__)
            table.add_row("worst family", _percent(figures[least]), "", least)


def side_by_side(results: Mapping[str, Result]) -> Table:
    """A table of several models' accuracies under each attack.

    Beside each stands, in brackets, the share of the images that fool which still do as PNG files.
    """
    first = next(iter(results.values()))
    threat = f"{first.threat['norm']} eps {first.threat['eps']:.4g}"
    table = Table(
        title=f"accuracy %, {threat}, {first.examples} examples, seed {first.seed}",
        caption="in brackets: of the images that fool, % that still do as PNG files",
    )
    table.add_column("images")
    for name in results:
        table.add_column(name, justify="right", overflow="fold")
    table.add_row("clean", *(_percent(result.clean) for result in results.values()))
    left = [_left(result) for result in results.values()]
    for name in dict.fromkeys(name for column in left for name in column):
        table.add_row(name, *(column.get(name, "") for column in left))
    table.add_row("all attacks", *(_percent(result.robust) for result in results.values()))
    if any(result.gradients for result in results.values()):
        table.add_row("gradients", *(_whose(result) for result in results.values()))
    return table


def interval(successes: int, trials: int) -> tuple[float, float]:
    """Exact 95 % interval of a share (Clopper and Pearson, 1934)."""
    failures = trials - successes
    low = betaincinv(successes, failures + 1, 0.025) if successes else 0.0
    high = betaincinv(successes + 1, failures, 0.975) if failures else 1.0
    return float(low), float(high)


def as_text(shown: RenderableType, width: int = 120) -> str:
    """What a terminal of that many columns shows, without colours."""
    console = Console(width=width, no_color=True)
    with console.capture() as text:
        console.print(shown)
    return text.get()


def write_json(path: str | Path, content: Any) -> Path:
    """Write JSON to a file that is there whole or not at all."""
    return write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _left(result: Result) -> dict[str, str]:
    """What each attack left or, where there are several families of attacks, each of these."""
    if result.families:
        return {family.name: _percent(family.accuracy) for family in result.families}
    return {name: _cell(figure) for name, figure in result.attacks.items()}


def _cell(figure: AttackFigure) -> str:
    png = "" if figure.survive_png is None else f" ({_percent(figure.survive_png)})"
    return _percent(figure.accuracy) + png


def _whose(result: Result) -> str:
    """Whose gradients the attacks took."""
    return "; ".join(
        f"{layer}: {whose}" if layer else whose for layer, whose in result.gradients.items()
    )


def _meaning(figure: AttackFigure) -> str:
    met = "this attack alone" if figure.alone else "on the survivors so far"
    if figure.notes:
        met += f"; {'; '.join(figure.notes)}"
    if figure.distances:
        half = median(figure.distances)
        met += f"; {'none' if half is None else f'{half:.4g}'} away in the median"
    if figure.counts_differ:
        met += f"; {_percent(figure.accuracy_by_attack or 0.0)} by its own count"
    return met


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _interval_text(bounds: tuple[float, float]) -> str:
    return f"95 % interval {_percent(bounds[0])} to {_percent(bounds[1])}"

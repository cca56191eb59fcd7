"""Whether a written result holds: its kept images against the model and the data."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Group
from rich.table import Table
from torch import Tensor, nn

from advprune.attacks import FewPixels
from advprune.data import Data
from advprune.evaluation.attempt import Target
from advprune.evaluation.ledger import file_hash, read_images
from advprune.evaluation.paired import stated_survivors
from advprune.evaluation.result import SCHEMA, as_text
from advprune.evaluation.sample import Sample, model_hash, regather
from advprune.models import evaluating
from advprune.threat import OutsideThreatError, ThreatModel

NEEDED = {
    *("images", "indices", "batch_size", "seed", "model_hash", "data_hash"),
    *("clean", "robust", "survivors", "attacks", "threat"),
}
"""What a result must say."""


@dataclass(frozen=True)
class Point:
    """One thing that was verified.

    Attributes:
        name: What.
        holds: Whether it is as the result says.
        text: What was found.
    """

    name: str
    holds: bool
    text: str


@dataclass(frozen=True)
class Verification:
    """All that was verified of a result.

    Attributes:
        points: One a row, in the order they were looked at.
    """

    points: tuple[Point, ...]

    @property
    def holds(self) -> bool:
        """Whether every point holds."""
        return all(point.holds for point in self.points)

    @property
    def verdict(self) -> str:
        """In a line."""
        wrong = [point.name for point in self.points if not point.holds]
        return f"Not as the result says: {', '.join(wrong)}." if wrong else "All is as it says."

    def __str__(self) -> str:
        return as_text(self)

    def __rich__(self) -> Group:
        """The table that a terminal shows, and the verdict."""
        table = Table(title="verified")
        for heading in ("point", "holds", "found"):
            table.add_column(heading, overflow="fold")
        for point in self.points:
            table.add_row(point.name, "yes" if point.holds else "NO", point.text)
        return Group(table, self.verdict)


class _WrongError(Exception):
    """Something is not as the result says; the text says what was found instead."""


def verify(
    result: Mapping[str, Any], model: nn.Module, data: Data, folder: str | Path | None = None
) -> Verification:
    """Check a result against the attacked images that were kept, the model and the data.

    Each attack's images must be in their files unchanged, stand for the examples that it met, lie
    within what its budget allows, and be answered as the accuracy says; the survivors must follow
    from the answers. The attacks do not run again: that none could have done more is not verified.

    Args:
        result: What `Result.to_dict` gave, of an evaluation with a folder.
        model: The model that was judged; left as it was.
        data: The data that it was judged on.
        folder: Where the images are; None takes the folder that the result names.

    Raises:
        ValueError: If the result is of another version or was evaluated without a folder.
    """
    _check_form(result)
    place = Path(folder or result["images"]["folder"])
    sample = regather(data, result["batch_size"], result["indices"])
    target = Target(model, sample, result["batch_size"], result["seed"])
    points = [
        _same("model", model_hash(model), result["model_hash"]),
        _same("images and labels", sample.hash, result["data_hash"]),
    ]
    if not all(point.holds for point in points):
        return Verification(tuple(points))
    with evaluating(model):
        right = target.right(sample.x, target.rows())
        points.append(_counted("clean", right, result["clean"]))
        survivors: Tensor | None = right
        for name, figure in result["attacks"].items():
            point, survivors = _attack(target, place, name, figure, result, survivors)
            points.append(point)
    return Verification((*points, *_survivors(result, survivors)))


def read_results(path: Path) -> dict[str, Mapping[str, Any]]:
    """The results in a file that `advprune evaluate` wrote, by the models' names.

    Raises:
        ValueError: If there are none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    found = {"": content} if isinstance(content, dict) and "schema" in content else content
    if not isinstance(found, dict) or not all(
        isinstance(one, dict) and "schema" in one for one in found.values()
    ):
        raise ValueError(f"{path} holds no result of advprune evaluate")
    return {one.get("source", {}).get("model", name): one for name, one in found.items()}


def _check_form(result: Mapping[str, Any]) -> None:
    if result.get("schema") != SCHEMA:
        raise ValueError(f"the result has schema {result.get('schema')!r}; allowed is {SCHEMA}")
    if lacking := sorted(NEEDED - result.keys()):
        raise ValueError(f"the result lacks {', '.join(lacking)}")
    if not result["images"]:
        raise ValueError(
            "the result names no attacked images: evaluate with a folder to keep them in (--keep)"
        )


def _same(name: str, found: str, stated: str) -> Point:
    if found == stated:
        return Point(name, True, f"SHA-256 {found[:12]}")
    return Point(name, False, f"SHA-256 {found[:12]}, the result says {stated[:12]}")


def _counted(name: str, right: Tensor, stated: float) -> Point:
    count, examples = int(right.sum()), len(right)
    wanted = round(stated * examples)
    said = f"{count} of {examples} right" + (f", the result says {wanted}" * (count != wanted))
    return Point(name, count == wanted, said)


def _attack(
    target: Target,
    place: Path,
    name: str,
    figure: Mapping[str, Any],
    result: Mapping[str, Any],
    survivors: Tensor | None,
) -> tuple[Point, Tensor | None]:
    """What holds of one attack, and who survives it; None where that cannot be known."""
    files = result["images"]["files"].get(name, {})
    try:
        x_adv, rows = _images(place, files, target.sample, figure["examples"])
        within = _within(x_adv, target.sample.x[rows], figure["budget"], result["threat"])
    except _WrongError as wrong:
        return Point(name, False, str(wrong)), None
    right = target.right(x_adv, rows)
    after = torch.zeros(len(target.sample), dtype=torch.bool).scatter(0, rows, right)
    point = _counted(name, after, figure["accuracy"])
    if survivors is not None:
        survivors = survivors.scatter(0, rows, survivors[rows] & right)
    return Point(name, point.holds, f"{len(rows)} images {within}, {point.text}"), survivors


def _images(
    place: Path, files: Mapping[str, str], sample: Sample, examples: int
) -> tuple[Tensor, Tensor]:
    """Attacked images and the examples that they stand for, out of unchanged files."""
    x_adv, rows = [sample.x[:0]], [torch.zeros(0, dtype=torch.int64)]
    for file, stated in files.items():
        path = place / Path(file).name
        if not path.is_file():
            raise _WrongError(f"{path} is missing")
        if file_hash(path) != stated:
            raise _WrongError(f"{path} was changed")
        try:
            some, theirs = read_images(path)
        except ValueError as error:
            raise _WrongError(str(error)) from error
        if some.shape[1:] != sample.x.shape[1:] or theirs.shape != some.shape[:1]:
            raise _WrongError(f"{path} holds images of shape {tuple(some.shape)}")
        x_adv, rows = [*x_adv, some], [*rows, theirs]
    met = torch.cat(rows)
    if len(met) != examples:
        raise _WrongError(f"{len(met)} images, the result says {examples}")
    if not set(met.tolist()) <= set(range(len(sample))) or (met.bincount() > 1).any():
        raise _WrongError("the images do not stand for one example each")
    return torch.cat(x_adv), met


def _within(x_adv: Tensor, x: Tensor, budget: Mapping[str, Any], threat: Mapping[str, Any]) -> str:
    """What the images were found to lie within."""
    norm, eps, bounds = budget["norm"], budget["eps"], tuple(budget["bounds"])
    if norm == threat["norm"] and eps != threat["eps"]:
        raise _WrongError(f"its eps is {eps}, the threat's {threat['eps']}")
    low, high = bounds
    try:
        if norm is None:
            allowed: ThreatModel = ThreatModel("linf", high - low, (low, high))
        elif norm == "l0":
            allowed = FewPixels(int(eps), (low, high))
        else:
            allowed = ThreatModel(norm, eps, (low, high))
        allowed.audit(x_adv, x)
    except (OutsideThreatError, ValueError) as error:
        raise _WrongError(str(error)) from error
    range_ = f"in [{low:g}, {high:g}]"
    return range_ if norm is None else f"{range_} and within {norm} {eps:.6g}"


def _survivors(result: Mapping[str, Any], survivors: Tensor | None) -> Iterator[Point]:
    if survivors is None:
        yield Point("all attacks", False, "unknown: the images of an attack are wrong")
        return
    stated = stated_survivors(result)[: len(survivors)]
    point = _counted("all attacks", survivors, result["robust"])
    if not torch.equal(stated, survivors):
        differing = int((stated != survivors).sum()) if len(stated) == len(survivors) else "all"
        point = Point(point.name, False, f"{point.text}; survivors differ in {differing}")
    yield point

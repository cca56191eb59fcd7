"""The same evaluation several times, for models whose answers are random."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from rich.table import Table
from scipy.special import stdtrit  # type: ignore[import-untyped]
from torch import nn

from advprune.choices import check_count
from advprune.data import Data
from advprune.evaluation.evaluate import Sources, evaluate
from advprune.evaluation.result import Result, as_text, write_json
from advprune.evaluation.sample import gather
from advprune.threat import ThreatModel


@dataclass(frozen=True)
class Spread:
    """What a figure does over repetitions.

    Attributes:
        mean: Over all repetitions.
        low: Lower end of the 95 % interval of the mean (Student's t), at least 0.
        high: Its upper end, at most 1.
        worst: The lowest.
    """

    mean: float
    low: float
    high: float
    worst: float

    def __str__(self) -> str:
        shares = (f"{100 * share:.1f}" for share in (self.mean, self.low, self.high, self.worst))
        return "{} ({} to {}), worst {}".format(*shares)


@dataclass(frozen=True, eq=False)
class Repeats:
    """Evaluations of one model on the same images, each with noise of its own.

    The intervals speak of the model's and the attacks' randomness alone; those of each result speak
    of the images.

    Attributes:
        results: One an evaluation.
    """

    results: tuple[Result, ...]

    @property
    def clean(self) -> Spread:
        """Of the accuracy on the given images."""
        return spread([result.clean for result in self.results])

    @property
    def robust(self) -> Spread:
        """Of the share right before and after every attack.

        Within a repetition each attacked image is answered once, and one wrong answer to any attack
        counts: the more attacks, the lower for a random model.
        """
        return spread([result.robust for result in self.results])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "clean": asdict(self.clean),
            "robust": asdict(self.robust),
            "repeats": [result.to_dict() for result in self.results],
        }

    def to_json(self, path: str | Path) -> Path:
        """Write everything to a JSON file, whole or not at all."""
        return write_json(path, self.to_dict())

    def __str__(self) -> str:
        return as_text(self)

    def __rich__(self) -> Table:
        """The table that a terminal shows."""
        first, number = self.results[0], len(self.results)
        threat = f"{first.threat['norm']} eps {first.threat['eps']:.4g}"
        table = Table(title=f"{first.suite}, {threat}, {first.examples} examples, {number} times")
        table.add_column("images")
        table.add_column("accuracy %: mean (95 % interval of it), worst time", justify="right")
        table.add_row("clean", str(self.clean))
        for name in first.attacks:
            alone = [result.attacks[name].accuracy for result in self.results]
            table.add_row(name, str(spread(alone)))
        table.add_row("all attacks", str(self.robust))
        return table


def repeat(
    model: nn.Module,
    data: Data,
    threat: ThreatModel,
    suite: str = "rand",
    sources: Sources = (),
    *,
    times: int = 5,
    seed: int = 0,
    batch_size: int = 128,
    subset: int | None = None,
    folder: str | Path | None = None,
) -> Repeats:
    """Evaluate a random model several times on the same images.

    What the model draws from torch's global random state is seeded before each time, and that state
    put back afterwards. A model that draws nothing differs by the attacks' noise only.

    Args:
        model: See `evaluate`.
        data: See `evaluate`.
        threat: See `evaluate`.
        suite: See `evaluate`; "rand" attacks averages over the model's draws.
        sources: See `evaluate`.
        times: Number of evaluations, at least 2.
        seed: Of the subset and the first evaluation; each further one has the next seed.
        batch_size: See `evaluate`.
        subset: See `evaluate`; the same images each time.
        folder: See `evaluate`; a folder of its own in it each time. What a random model draws after
            it was stopped is not what it would have drawn.

    Raises:
        ValueError: If a setting is impossible.
    """
    check_count("times", times, least=2)
    sample = gather(data, batch_size, subset=subset, seed=seed)

    once = partial(evaluate, model, (sample.x, sample.y), threat, suite, sources)
    results = []
    with torch.random.fork_rng():
        for number in range(seed, seed + times):
            torch.manual_seed(number)
            kept = None if folder is None else Path(folder) / str(number)
            found = once(seed=number, batch_size=batch_size, folder=kept)
            results.append(replace(found, indices=sample.indices, data_examples=sample.whole))
    return Repeats(tuple(results))


def spread(figures: Sequence[float]) -> Spread:
    """Mean, its 95 % interval m ± t₀.₉₇₅(n - 1) s / √n, and the lowest, of n ≥ 2 shares."""
    middle = mean(figures)
    reach = float(stdtrit(len(figures) - 1, 0.975)) * stdev(figures) / math.sqrt(len(figures))
    return Spread(middle, max(0.0, middle - reach), min(1.0, middle + reach), min(figures))

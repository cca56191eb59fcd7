"""``metrics.csv`` and TensorBoard: one row an epoch, consistent also after a resume."""

import csv
import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from torch.utils.tensorboard.writer import SummaryWriter

COLUMNS = (
    "phase",
    "epoch",
    "step",
    "loss",
    "clean_loss",
    "adversarial_loss",
    "certified_loss",
    "kl",
    "penalty",
    "vulnerability",
    "clean_accuracy",
    "adversarial_accuracy",
    "certified_accuracy",
    "validation_clean",
    "validation_robust",
    "validation_certified",
    "active_units",
    "macs",
    "budget_multiplier",
    "learning_rate",
    "eps",
    "seconds",
)

Row = Mapping[str, str | int | float]


class Logs:
    """Writes rows to ``metrics.csv`` and ``tensorboard/`` of a run.

    Args:
        out: The run's folder.
        epochs: Finished epochs of the run that this one resumes; rows of later ones were logged
            before it was killed, and are dropped.
        steps: Steps that it had taken.
    """

    def __init__(self, out: Path, epochs: int, steps: int) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._path = out / "metrics.csv"
        _truncate(self._path, epochs)
        self._board = SummaryWriter(out / "tensorboard", purge_step=steps + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._board.close()

    def write(self, row: Row) -> None:
        """Appends a row; columns that it lacks stay empty."""
        with self._path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)
        for name, value in row.items():
            if not isinstance(value, str):
                self._board.add_scalar(name, value, int(row["step"]))


def _truncate(path: Path, epochs: int) -> None:
    rows: list[dict[str, str]] = []
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(islice(csv.DictReader(file), epochs))
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(unfinished, path)  # noqa: PTH105 - atomic on every system

"""What a person sees while training: a bar with the time left, or plain lines where no TTY is."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

_REFRESH_SECONDS = 0.5

Advance = Callable[[str, Mapping[str, Tensor], int], None]


@contextmanager
def shown(total: int, done: int, console: Console) -> Iterator[Advance]:
    """Shows a bar over all steps of the run.

    Args:
        total: Steps of the run.
        done: Steps already taken by the run that this one resumes.
        console: Where to draw; no bar when it is no terminal.

    Yields:
        ``advance(phase, sums, count)``, to be called once a step: sums of the epoch's figures so
        far (0-dim tensors, read only when the line is drawn anew) and how many steps they hold.
    """
    if not console.is_terminal:
        yield lambda *_: None
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[figures]}"),
        console=console,
    ) as bar:
        task = bar.add_task("", total=total, completed=done, figures="")
        drawn = 0.0

        def advance(phase: str, sums: Mapping[str, Tensor], count: int) -> None:
            nonlocal drawn
            bar.advance(task)
            if time.monotonic() - drawn > _REFRESH_SECONDS:
                drawn = time.monotonic()
                bar.update(task, description=phase, figures=_accuracies(sums, count))

        yield advance


def _accuracies(sums: Mapping[str, Tensor], count: int) -> str:
    names = {
        "clean": "clean_accuracy",
        "robust": "adversarial_accuracy",
        "certified": "certified_accuracy",
    }
    known = {label: sums[name] for label, name in names.items() if name in sums}
    if not known:
        return ""
    means = (torch.stack(list(known.values())) / count).tolist()  # one transfer for the line
    return "  ".join(f"{label} {mean:.1%}" for label, mean in zip(known, means, strict=True))


def epoch_line(row: Mapping[str, str | int | float], epochs: int) -> str:
    """One line about a finished epoch."""
    parts = [f"{row['phase']} {row['epoch']}/{epochs}", f"loss {row['loss']:.3f}"]
    for label, column in (
        ("clean", "validation_clean"),
        ("robust", "validation_robust"),
        ("certified", "validation_certified"),
        ("MACs", "macs"),
    ):
        if column in row:
            value = row[column]
            parts.append(f"{label} {value:,}" if label == "MACs" else f"{label} {value:.1%}")
    return "  ".join((*parts, f"{row['seconds']:.0f} s"))

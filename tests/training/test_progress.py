import io

import torch
from rich.console import Console

from advprune.training.progress import epoch_line, shown

SUMS = {"clean_accuracy": torch.tensor(1.5), "adversarial_accuracy": torch.tensor(1.0)}


def test_the_bar_tells_phase_and_mean_accuracies() -> None:
    text = io.StringIO()
    with shown(2, 0, Console(file=text, force_terminal=True, width=120)) as advance:
        advance("prune", SUMS, 2)
    for part in ("prune", "clean 75.0%", "robust 50.0%"):
        assert part in text.getvalue()


def test_without_a_terminal_nothing_is_drawn() -> None:
    text = io.StringIO()
    with shown(2, 0, Console(file=text)) as advance:
        advance("prune", SUMS, 2)
    assert text.getvalue() == ""


def test_an_epochs_line_leaves_out_what_was_not_measured() -> None:
    row: dict[str, str | int | float] = {
        "phase": "prune",
        "epoch": 1,
        "loss": 0.25,
        "macs": 1234,
        "seconds": 3.0,
    }
    assert epoch_line(row, 4) == "prune 1/4  loss 0.250  MACs 1,234  3 s"
    assert "robust 50.0%" in epoch_line({**row, "validation_robust": 0.5}, 4)

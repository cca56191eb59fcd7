import json
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from advprune.evaluation import evaluate, interval, side_by_side, write_json
from advprune.threat import ThreatModel


@pytest.mark.parametrize(
    ("successes", "low", "high"), [(0, 0.0, 0.3085), (5, 0.1871, 0.8129), (10, 0.6915, 1.0)]
)
def test_the_interval_is_that_of_clopper_and_pearson(
    successes: int, low: float, high: float
) -> None:
    assert list(interval(successes, 10)) == pytest.approx([low, high], abs=1e-4)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = write_json(tmp_path / "result.json", {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_models_stand_side_by_side_with_every_attack_in_a_row() -> None:
    linear = nn.Linear(1, 2)
    linear.load_state_dict(
        {"weight": torch.tensor([[-1.0], [1.0]]), "bias": torch.tensor([0.5, -0.5])}
    )
    model = nn.Sequential(nn.Flatten(), linear)
    data = (torch.tensor([0.2, 0.47]).view(-1, 1, 1, 1), torch.tensor([0, 0]))
    threat = ThreatModel("linf", 0.1)
    results = {
        "torch": evaluate(model, data, threat),
        "file": evaluate(model, data, threat, sources={"torch": model}),
    }
    console = Console(width=100)
    with console.capture() as text:
        console.print(side_by_side(results))
    rows = [line.replace("│", " ").split() for line in text.get().splitlines()]
    assert ["clean", "100.00", "100.00"] in rows
    assert ["pgd", "50.00", "(100.00)", "50.00", "(100.00)"] in rows
    assert ["transfer:torch", "50.00", "(100.00)"] in rows
    assert ["all", "attacks", "50.00", "50.00"] in rows

"""A run of seconds: 4x4 images of two classes that a linear model separates."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune import pruning
from advprune.data import Images, Splits
from advprune.threat import ThreatModel
from advprune.training import GateSettings, Trained, Training, host, step, train
from advprune.training.state import Run


class Small(nn.Module):
    """f1 16-6, f2 6-2: units of one group."""

    def __init__(self) -> None:
        super().__init__()
        self.f1 = nn.Linear(16, 6)
        self.f2 = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.f2(functional.relu(self.f1(torch.flatten(x, 1))))
        return logits


def _images(count: int, seed: int) -> Images:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 2
    x = 0.6 * torch.rand(count, 1, 4, 4, generator=generator)
    x[y == 1, :, :2] += 0.4
    return Images(x, y, ("even", "top-heavy"), "made up")


@pytest.fixture
def splits() -> Splits:
    return Splits(_images(48, 1), _images(20, 2), _images(20, 3))


@pytest.fixture
def small() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Small()


MakeSettings = Callable[..., Training]


@pytest.fixture
def make_settings() -> MakeSettings:
    """Gives settings of the given phases, each a dict, and of what they share."""

    def make(*phases: dict[str, object], **shared: object) -> Training:
        given = {"batch_size": 8, "validation_attack_steps": 2, "threads": 1, **shared}
        named = [{"name": f"phase-{number}", **phase} for number, phase in enumerate(phases)]
        return Training.model_validate({**given, "phases": named})

    return make


MakeRun = Callable[[Training], Run]


@pytest.fixture
def make_run(small: nn.Module, splits: Splits, tmp_path: Path) -> MakeRun:
    def make(training: Training) -> Run:
        return Run(
            model=small,
            splits=splits,
            threat=ThreatModel("linf", 0.1),
            settings=training,
            gates=GateSettings(),
            out=tmp_path,
            fabric=host.fabric(training),
            slim=pruning.slim,
        )

    return make


GoTrain = Callable[..., Trained]


@pytest.fixture
def go(small: nn.Module, splits: Splits, tmp_path: Path) -> GoTrain:
    """Trains into ``tmp_path / "run"`` unless told otherwise."""

    def train_it(training: Training, out: str = "run", *, resume: bool = False) -> Trained:
        threat = ThreatModel("linf", 0.1)
        return train(
            small, splits, threat, training, out=tmp_path / out, slim=pruning.slim, resume=resume
        )

    return train_it


InterruptAt = Callable[..., None]


@pytest.fixture
def interrupt_at(monkeypatch: pytest.MonkeyPatch) -> InterruptAt:
    """Stops training before the steps of these numbers, counted over all runs."""

    def interrupt(*numbers: int) -> None:
        take, calls = step.take, itertools.count(1)

        def counted(*given: object) -> None:
            if next(calls) in numbers:
                raise KeyboardInterrupt
            take(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(step, "take", counted)

    return interrupt

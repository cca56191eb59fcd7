"""Training: phases, their loop, schedules and checkpoints."""

from advprune.training.interrupt import Interrupted
from advprune.training.loop import Trained, train
from advprune.training.parts import AttackSettings, Budget, GateSettings
from advprune.training.settings import Phase, Training

__all__ = [
    "AttackSettings",
    "Budget",
    "GateSettings",
    "Interrupted",
    "Phase",
    "Trained",
    "Training",
    "train",
]

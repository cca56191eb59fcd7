"""Training: phases, their loop, schedules and checkpoints."""

from advprune.training.settings import AttackSettings, Budget, GateSettings, Phase, Training

__all__ = ["AttackSettings", "Budget", "GateSettings", "Phase", "Training"]

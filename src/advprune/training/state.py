"""What a run is given, and all that its steps change: the latter is what a checkpoint holds."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from advprune.data import Images, Splits
from advprune.data.splitting import stratified
from advprune.gates import CurrentNetwork, GatedModel, gate
from advprune.models.gaussian import GaussianModel
from advprune.structure import Structure
from advprune.threat import ThreatModel
from advprune.training import average, importance, sparsity
from advprune.training.budget import Controller
from advprune.training.optimisers import Group
from advprune.training.parts import GateSettings
from advprune.training.settings import Phase, Training

Slim = Callable[[GatedModel, Tensor], nn.Module]
"""Folds a gated network into a plain, smaller one, given an example input."""

_VALIDATION_STREAM = 2_000_003
"""Of a run's seed, so far from others that those of neighbouring runs do not meet."""


@dataclass(frozen=True)
class Run:
    """What a run is given; nothing of it changes.

    Attributes:
        model: As it came; dense phases train a copy.
        splits: Images; the test split is never looked at.
        threat: With full eps.
        settings: Of all phases.
        gates: Where gates sit in gated phases.
        out: The run's folder.
        fabric: Device and precision.
        slim: Begins a slim phase.
        networks: Saved models that phases name, frozen, on the device of the run.
    """

    model: nn.Module
    splits: Splits
    threat: ThreatModel
    settings: Training
    gates: GateSettings
    out: Path
    fabric: Fabric
    slim: Slim
    networks: Mapping[str, nn.Module] = field(default_factory=dict)

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.out / "checkpoints"

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in the training images; at least one."""
        return max(1, len(self.splits.train) // self.settings.batch_size)

    @property
    def total_steps(self) -> int:
        """Steps of all phases."""
        return self.steps_per_epoch * sum(phase.epochs for phase in self.settings.phases)

    @cached_property
    def validation(self) -> Images:
        """The images of every validation: all, or a seeded part where classes keep their shares."""
        return self._drawn(self.splits.validation, self.settings.validation_examples)

    @cached_property
    def calibration(self) -> Images:
        """The training images that re-estimate batch norm, drawn alike: always the same."""
        return self._drawn(self.splits.train, self.settings.recalibration_examples)

    @property
    def example(self) -> Tensor:
        """Two training images, (2, channels, height, width), on the CPU."""
        return self.splits.train.subset(range(2)).tensors()[0]

    @cached_property
    def gated(self) -> GatedModel:
        """The model as it came, gated: copied by whatever needs a gated one, never trained."""
        gates = self.gates
        return gate(self.model, self.example, gates.family, gates.per_position, **gates.options)

    @property
    def unpruned(self) -> Structure:
        """The structure before any unit is removed, with all gates."""
        return self.gated.structure

    @property
    def unpruned_macs(self) -> int:
        """Multiply-accumulates of the network before any unit is removed."""
        return self.unpruned.macs()

    def _drawn(self, images: Images, count: int | None) -> Images:
        """Drawn by the run's seed alone, so that training's random streams do not move."""
        if count is None or count >= len(images):
            return images
        return images.subset(stratified(images.y, count, self.settings.seed)[1])


@dataclass
class Position:
    """Where a run stands.

    Attributes:
        phase: Index of the phase.
        epoch: Epochs of the phase that are finished.
        step: Steps taken in the epoch that is not.
        total: Steps taken since the run began.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    total: int = 0


@dataclass(frozen=True)
class Best:
    """The best checkpoint so far.

    Attributes:
        robust: Its PGD accuracy on the validation images, which chooses it.
        clean: Its clean accuracy there, which decides between equally robust ones, and chooses
            where the phase attacks nothing.
        total: Steps that had been taken.
    """

    robust: float
    clean: float
    total: int


@dataclass(frozen=True)
class Size:
    """How large the network is.

    Attributes:
        active_units: Units that have not been pruned.
        macs: Multiply-accumulates of one example.
    """

    active_units: int
    macs: int


def _now() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


@dataclass
class Clock:
    """Time spent, over all the processes that the run was spread over.

    Attributes:
        epoch: Seconds of the epoch.
        run: Seconds of the run.
        cpu: Processor seconds of the run, over all threads: what other work on the machine leaves
            alone.
    """

    epoch: float = 0.0
    run: float = 0.0
    cpu: float = 0.0
    _last: tuple[float, float] = field(default_factory=_now)

    def tick(self) -> None:
        """Adds the time since the last tick."""
        now = _now()
        elapsed, used = (new - old for new, old in zip(now, self._last, strict=True))
        self.epoch, self.run, self.cpu = self.epoch + elapsed, self.run + elapsed, self.cpu + used
        self._last = now


@dataclass
class State:
    """All that steps change.

    Attributes:
        model: Plain in dense and slim phases, gated in gated ones.
        position: Where the run stands.
        groups: ``weights``, and ``gates`` in gated phases.
        average: Moving average of the parameters; empty when the phase has none.
        masks: Weights that are not kept at 0, where the phase keeps some.
        duals: Z and U of ADMM.
        learned: What is trained in place of weights, where the phase learns which are kept.
        controller: Of the budget.
        idle: (all units,) epochs for which each unit has been inactive; empty without gates.
        sums: Figures of the epoch so far, each summed over its steps, 0-dim.
        order: Draws the order of the images and their augmentation.
        order_at_start: State of ``order`` when the epoch began.
        attack: Draws the attacks' random starts.
        perturbation: What Free AT adds to the next batch, like it; None before its first step.
        best: The best checkpoint of the last phase.
        latest: PGD accuracy at the latest validation.
        size: Of the network at the latest validation; None while it has never been gated.
        clock: Time spent.
        current: Follows a gated network as it would ship. This and the next follow from the rest,
            so that no checkpoint holds them.
        unit_weights: (all units,) factors on the units' KL; None is 1 each.
        unit_seconds: (units of the unpruned network,) measured time that each takes, where a phase
            weighs by it: measured once a run, since no two measurements agree.
        affordable: Share of the unpruned multiply-accumulates that a latency allows, once measured.
    """

    model: nn.Module
    position: Position
    groups: dict[str, Group]
    average: average.Average
    idle: Tensor
    order: torch.Generator
    order_at_start: Tensor
    attack: torch.Generator
    perturbation: Tensor | None = None
    masks: sparsity.Masks = field(default_factory=dict)
    duals: dict[str, Tensor] = field(default_factory=dict)
    learned: importance.Importance | None = None
    controller: Controller = field(default_factory=Controller)
    sums: dict[str, Tensor] = field(default_factory=dict)
    best: Best | None = None
    latest: float | None = None
    size: Size | None = None
    clock: Clock = field(default_factory=Clock)
    current: CurrentNetwork | None = None
    unit_weights: Tensor | None = None
    unit_seconds: Tensor | None = None
    affordable: float | None = None

    def phase(self, run: Run) -> Phase:
        """The phase that the run is in."""
        return run.settings.phases[self.position.phase]

    def epochs(self, run: Run) -> int:
        """Epochs of all phases that are finished."""
        before = run.settings.phases[: self.position.phase]
        return sum(phase.epochs for phase in before) + self.position.epoch

    def progress(self, run: Run) -> float:
        """Epochs of the phase so far, with the fraction of the present one."""
        return self.position.epoch + self.position.step / run.steps_per_epoch

    def shippable(self) -> nn.Module:
        """The plain network as it would ship now."""
        if isinstance(self.model, GaussianModel):
            return self.model.shipped()
        return self.model if self.current is None else self.current.refreshed()


def validation_seed(run: Run, state: State) -> int:
    """The seed of a validation: by the run's seed and how far it has come."""
    return run.settings.seed + _VALIDATION_STREAM + state.position.total

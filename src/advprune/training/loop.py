"""The loop over phases, epochs and steps."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from advprune.data import Splits
from advprune.gates import GatedModel
from advprune.models.gaussian import GaussianModel
from advprune.threat import ThreatModel
from advprune.training import checkpoint, epoch, host, interrupt, phases, progress, snapshot
from advprune.training.logs import Logs
from advprune.training.parts import GateSettings
from advprune.training.settings import Training
from advprune.training.state import Run, Slim, State


@dataclass(frozen=True)
class Trained:
    """What a finished run leaves.

    Attributes:
        model: The best network of the last phase, in eval mode: gated after a gated phase, else
            plain (with the means of Gaussian weights, as far as these are kept).
        gated: The gated network that the slim phase folded; None where there was none.
        best: PGD accuracy of ``model`` on the validation images.
        last: The same of the network after the last step: how far the best one stands above it
            says how much was gained by choosing.
        seconds: Spent on training and validation.
        cpu_seconds: Processor seconds of the same, over all threads.
    """

    model: nn.Module
    gated: GatedModel | None
    best: float
    last: float
    seconds: float
    cpu_seconds: float


def train(
    model: nn.Module,
    splits: Splits,
    threat: ThreatModel,
    settings: Training,
    *,
    out: str | Path,
    slim: Slim,
    gates: GateSettings | None = None,
    networks: Mapping[str, nn.Module] | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> Trained:
    """Runs all phases, leaving ``metrics.csv``, ``tensorboard/`` and ``checkpoints/`` in ``out``.

    Killed at any moment and called again with ``resume=True``, it ends with the same weights, to
    the bit, as if it had not been killed (same machine, same version of torch).

    Args:
        model: Plain, taking images in [0, 1]; it is left as it is.
        splits: Trained on the first, chosen by the second; the test images are never looked at.
        threat: What is defended against; validation is at its full eps.
        settings: The phases and what they share.
        out: The run's folder.
        slim: Folds a gated network into a plain one, at the start of a slim phase:
            ``advprune.slim``.
        gates: Where the gated phases' gates sit.
        networks: The saved models in ``settings.networks``, by name; copied and frozen.
        resume: Whether to continue from the latest checkpoint in ``out``, if there is one.
        console: Where progress is shown.

    Raises:
        ValueError: The folder holds a run already and ``resume`` is not set, or other settings.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was written first.
        OSError: The disk is full; the latest whole checkpoint stays usable.
    """
    fabric = host.fabric(settings)
    run = Run(
        model=model,
        splits=splits,
        threat=threat,
        settings=settings,
        gates=gates or GateSettings(),
        out=Path(out),
        fabric=fabric,
        slim=slim,
        networks=_frozen(settings, networks or {}, fabric.device),
    )
    found = _latest(run, resume)
    with host.prepared(settings, None if found is None else snapshot.threads(found)):
        state = _begun(run, found)
        _run_phases(run, state, console or Console())
        return _trained(run, state)


def _frozen(
    settings: Training, networks: Mapping[str, nn.Module], device: torch.device
) -> dict[str, nn.Module]:
    if missing := settings.networks - networks.keys():
        raise ValueError(f"the phases name saved models that were not given: {sorted(missing)}")
    return {
        name: deepcopy(networks[name]).to(device).eval().requires_grad_(False)
        for name in settings.networks
    }


def _latest(run: Run, resume: bool) -> Path | None:
    found = checkpoint.latest(run.checkpoints)
    if found is not None and not resume:
        raise ValueError(
            f"{run.out} holds a run already: continue it with resume, or choose another folder"
        )
    return found


def _begun(run: Run, found: Path | None) -> State:
    if found is not None:
        return snapshot.resume(run, found)
    phases.check(run)
    return phases.first(run)


def _run_phases(run: Run, state: State, console: Console) -> None:
    done = state.position.total
    with (
        Logs(run.out, state.epochs(run), done) as logs,
        interrupt.watched() as stop_asked,
        progress.shown(run.total_steps, done, console) as advance,
    ):
        while True:
            phase = state.phase(run)
            while state.position.epoch < phase.epochs:
                epoch.train(run, state, stop_asked, advance)
                row = epoch.close(run, state)
                logs.write(row)
                snapshot.save(run, state)
                console.print(progress.epoch_line(row, phase.epochs), highlight=False)
            if phase is run.settings.phases[-1]:
                return
            phases.begin_next(run, state)


def _trained(run: Run, state: State) -> Trained:
    assert state.best is not None  # the last epoch of all is validated, at its budget
    assert state.latest is not None
    folded = run.settings.phases[-1].on == "slim"
    gated = snapshot.load_model(run, snapshot.FOLDED) if folded else None
    assert gated is None or isinstance(gated, GatedModel)
    model = snapshot.load_model(run, snapshot.BEST)
    if isinstance(model, GaussianModel):
        model = model.shipped()
    return Trained(
        model=model.eval(),
        gated=None if gated is None else gated.eval(),
        best=state.best.robust,
        last=state.latest,
        seconds=state.clock.run,
        cpu_seconds=state.clock.cpu,
    )

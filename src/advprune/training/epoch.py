"""One epoch: its steps, and what happens at its border."""

import warnings
from collections.abc import Callable, Iterator
from itertools import islice

from torch import Tensor

from advprune import data
from advprune.data.batching import AUGMENTS, Augment, noisy
from advprune.gates import GatedModel
from advprune.objectives import CERTIFIED, UNATTACKED
from advprune.structure import recalibrate
from advprune.training import average, phases, snapshot, step, validation
from advprune.training.adversary import eps_share
from advprune.training.interrupt import Interrupted
from advprune.training.progress import Advance
from advprune.training.settings import Phase, Training
from advprune.training.state import Best, Run, Size, State, validation_seed
from advprune.training.validation import Accuracy

Row = dict[str, str | int | float]

_COLLAPSE = 0.2
"""Fall of the accuracy under PGD between two validations that is no accident."""


def train(run: Run, state: State, stop_asked: Callable[[], bool], advance: Advance) -> None:
    """Takes the steps of the epoch that are still to be taken.

    Raises:
        Interrupted: A stop was asked for; the checkpoint is written.
    """
    phase, every = state.phase(run), run.settings.checkpoint_every
    state.model.train()
    for x, y in _batches(run, state):
        step.take(run, state, x.to(run.fabric.device), y.to(run.fabric.device))
        advance(phase.name, state.sums, state.position.step)
        if stop_asked():
            snapshot.save(run, state)
            raise Interrupted(f"stopped in {run.out} after step {state.position.total}")
        if every is not None and state.position.step % every == 0:
            snapshot.save(run, state)


def close(run: Run, state: State) -> Row:
    """Ends the epoch: removes dead units, validates, keeps the best network.

    Returns:
        The epoch's row for the logs.
    """
    row = _row(run, state)
    state.sums = {}
    state.position.epoch, state.position.step = state.position.epoch + 1, 0
    state.order_at_start = state.order.get_state()
    phases.drop_idle(run, state)
    phases.update_duals(run, state)
    if _is_last_epoch(run, state):
        phases.finish(run, state)
    row |= _sized(state)
    if _is_validated(run, state):
        accuracy = _validated(run, state)
        row |= {f"validation_{name}": share for name, share in accuracy.shares().items()}
    if _is_folded_next(run, state):
        snapshot.save_model(run, state, snapshot.FOLDED)
    state.clock.tick()
    row["seconds"] = state.clock.epoch
    state.clock.epoch = 0.0
    return row


def _batches(run: Run, state: State) -> Iterator[tuple[Tensor, Tensor]]:
    """The epoch's batches, without those that were trained on before a resume."""
    state.order.set_state(state.order_at_start)
    images = data.batches(
        run.splits.train,
        run.settings.batch_size,
        generator=state.order,
        shuffle=True,
        augment=_augmentation(run.settings),
    )
    replays = state.phase(run).attack.replays or 1
    replayed = (batch for batch in images for _ in range(replays))
    return islice(replayed, state.position.step, run.steps_per_epoch)


def _augmentation(settings: Training) -> Augment | None:
    change = AUGMENTS.get(settings.augment)
    return noisy(settings.noise, change) if settings.noise else change


def _row(run: Run, state: State) -> Row:
    phase = state.phase(run)
    steps = state.position.step
    row: Row = {"phase": phase.name, "epoch": state.position.epoch + 1}
    row["step"] = state.position.total
    row |= {name: float(total) / steps for name, total in state.sums.items()}
    row["learning_rate"] = phase.learning_rate * step.rate(run, state)
    if phase.objective in CERTIFIED:
        row["eps"] = step.certificate(run, state).threat.eps
    elif "adversarial_loss" in row:
        row["eps"] = run.threat.eps * eps_share(run, state)
    if phase.budget is not None:
        row["budget_multiplier"] = state.controller.multiplier
    return row


def _sized(state: State) -> Row:
    """The size of the network; a slim one keeps that of the gated one it was folded from."""
    if isinstance(state.model, GatedModel):
        keep = state.model.keep()
        state.size = Size(int(keep.sum()), state.model.structure.macs(keep))
    if state.size is None:
        return {}
    return {"active_units": state.size.active_units, "macs": state.size.macs}


def _validated(run: Run, state: State) -> Accuracy:
    """Measures the network as it would ship, and keeps it when it is the best of the last phase."""
    with average.applied(state.average, state.model):
        recalibrate(state.model, phases.calibration(run))
        accuracy = validation.measure(
            state.shippable(),
            run.validation,
            run.threat,
            steps=run.settings.validation_attack_steps,
            batch_size=run.settings.validation_batch_size,
            seed=validation_seed(run, state),
            device=run.fabric.device,
            bound=_bound(state.phase(run)),
        )
        _warn_of_collapse(run, state, accuracy.robust)
        state.latest = accuracy.score
        if _is_best(run, state, accuracy):
            snapshot.save_model(run, state, snapshot.BEST)
            state.best = Best(accuracy.score, accuracy.clean, state.position.total)
    return accuracy


def _warn_of_collapse(run: Run, state: State, robust: float) -> None:
    """Warns of catastrophic overfitting, as the code of Wong, Rice & Kolter 2020 detects it.

    A network that learns to mislead the one gradient of its attack loses its accuracy under PGD
    from one epoch to the next.
    """
    phase = state.phase(run)
    within = phase.attack.single_step and state.position.epoch > 1
    if within and state.latest is not None and state.latest - robust > _COLLAPSE:
        warnings.warn(
            f"phase {phase.name!r}, epoch {state.position.epoch}: accuracy under PGD fell from"
            f" {state.latest:.1%} to {robust:.1%}, catastrophic overfitting to the single-step"
            " attack; the best checkpoint is from before. Smaller steps, a lower learning rate or"
            " fewer epochs help",
            RuntimeWarning,
            stacklevel=2,
        )


def _bound(phase: Phase) -> str | None:
    """The bound that the phase ends with, where it trains on one."""
    if phase.objective not in CERTIFIED:
        return None
    return phase.certificate.bound if phase.certificate.linear_share[1] else "ibp"


def _is_last_epoch(run: Run, state: State) -> bool:
    return state.position.epoch == state.phase(run).epochs


def _is_validated(run: Run, state: State) -> bool:
    due = state.position.epoch % run.settings.validation_every == 0
    return due or _is_last_epoch(run, state)


def _is_best(run: Run, state: State, accuracy: Accuracy) -> bool:
    if state.position.phase + 1 < len(run.settings.phases) or not phases.at_budget(run, state):
        return False
    settings = state.phase(run).sparsity
    if settings is not None and settings.open and not state.masks:  # this is not what ships
        return False
    best = state.best
    if best is None:
        return True
    if state.phase(run).objective in UNATTACKED:  # what resists is then a matter of chance
        return (accuracy.clean, accuracy.score) > (best.clean, best.robust)
    return (accuracy.score, accuracy.clean) > (best.robust, best.clean)


def _is_folded_next(run: Run, state: State) -> bool:
    following = run.settings.phases[state.position.phase + 1 :]
    if not _is_last_epoch(run, state) or not following:
        return False
    return state.phase(run).on == "gated" and following[0].on == "slim"

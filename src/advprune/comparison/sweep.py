"""Searching a recipe's settings for robust and small networks, on the validation images."""

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from advprune import recipes
from advprune.choices import check_count
from advprune.comparison import space as spaces
from advprune.comparison import sweep_page
from advprune.evaluation import cost
from advprune.recipes import Recipe, figures
from advprune.recipes.run import shipped, train_recipe
from advprune.shipping.extras import need

JOURNAL = "study.log"
"""The study's storage: a journal of JSON lines that workers on one file system share."""
FOLDER = "folder"
"""Attribute of a trial: the folder that its run has been begun in."""


def sweep(
    source: str,
    vary: Iterable[str],
    *,
    trials: int,
    out: str | Path,
    overrides: Iterable[str] = (),
    console: Console | None = None,
) -> Any:
    """Trains a recipe with many settings; wants robust accuracy high and MACs few.

    Both are of the network that would ship: accuracy under PGD on the validation images at the best
    checkpoint, and its multiply-accumulates. Test images are never looked at. Settings are proposed
    by Optuna's multi-objective TPE.

    Any number of processes, on any machines that share ``out``, may call this at once: all work on
    one study until it has that many trials. A trial whose process was killed is taken up again from
    its checkpoint by the next one that looks for work.

    Args:
        source: Name or file of the recipe.
        vary: What varies, as `space.parse` reads it.
        trials: Trials of the whole study that end, those of other processes too.
        out: Folder of the study: its journal, a folder each trial, ``sweep.html``.
        overrides: Values to change in every trial.
        console: Where progress is shown.

    Returns:
        The Optuna study.

    Raises:
        ValueError: A recipe, a key or a range that is wrong, before anything runs; Optuna is not
            installed.
    """
    optuna = need("optuna")
    check_count("trials", trials)
    out, console, changes = Path(out), console or Console(), list(overrides)
    space = spaces.parse(vary)
    recipe = recipes.load(source, [*changes, *_first(space)])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    out.mkdir(parents=True, exist_ok=True)
    study = _study(out, recipe.name)
    while True:
        with ExitStack() as held:
            chosen = _next(study, space, trials, out, held)
            if chosen is None:
                break
            trial, setting = chosen
            tried = recipes.load(source, [*changes, *setting])
            _carry_out(study, trial, tried, out / _folder(trial), console)
        sweep_page.write(study, out)
    console.print(f"Study: {sweep_page.write(study, out)}", highlight=False, soft_wrap=True)
    return study


def _next(
    study: Any, space: spaces.Space, trials: int, out: Path, held: ExitStack
) -> tuple[Any, list[str]] | None:
    """A trial with its setting, whose folder is held as long as `held` is open.

    One process at a time chooses: a trial that was asked for and is not held yet looks stopped.
    None where as many trials as are wanted have ended or are at work.
    """
    with _held(out):
        if len(_ended(study)) + len(_held_ones(study, out)) >= trials:
            return None
        _adopt_stopped(study, out)
        trial = study.ask()
        setting = [f"{key}={_suggested(trial, key, among)}" for key, among in space.items()]
        trial.set_user_attr(FOLDER, _folder(trial))
        held.enter_context(_held(out / _folder(trial)))
    return trial, setting


def _study(out: Path, name: str) -> Any:
    optuna, journal = need("optuna"), need("optuna.storages.journal")
    backend = journal.JournalFileBackend(str(out / JOURNAL))
    return optuna.create_study(
        study_name=name,
        storage=optuna.storages.JournalStorage(backend),
        directions=["maximize", "minimize"],
        sampler=optuna.samplers.TPESampler(constant_liar=True),
        load_if_exists=True,
    )


def _first(space: spaces.Space) -> list[str]:
    """One setting of the space, so that a wrong key is told before anything runs."""
    return [
        f"{key}={among.values[0] if isinstance(among, spaces.Choice) else among.low}"
        for key, among in space.items()
    ]


def _suggested(trial: Any, key: str, among: spaces.Range | spaces.Choice) -> Any:
    if isinstance(among, spaces.Choice):
        return trial.suggest_categorical(key, among.values)
    if among.whole:
        return trial.suggest_int(key, among.low, among.high, log=among.log)
    return trial.suggest_float(key, among.low, among.high, log=among.log)


def _carry_out(study: Any, trial: Any, recipe: Recipe, folder: Path, console: Console) -> None:
    """Runs or resumes a trial and tells the study how it ended."""
    console.rule(f"{folder.name}: {', '.join(f'{k}={v}' for k, v in trial.params.items())}")
    try:
        robust, macs = _worth(recipe, folder, console)
    except (ValueError, RuntimeError) as error:
        console.print(f"{folder.name} failed: {error}", style="red", highlight=False)
        study.tell(trial, state=need("optuna").trial.TrialState.FAIL)
        return
    study.tell(trial, [robust, macs])
    console.print(f"robust on validation {robust:.2%}, {macs:,} MACs", highlight=False)


def _worth(recipe: Recipe, folder: Path, console: Console) -> tuple[float, int]:
    begun = (folder / "recipe.yaml").is_file()
    splits, _, trained = train_recipe(recipe, folder, resume=begun, console=console)
    images = figures.example(splits.validation)
    return trained.best, cost(shipped(trained, images), images).macs


def _ended(study: Any) -> set[str]:
    """Folders of the trials that need no more work; one taken up again has that of before."""
    states = need("optuna").trial.TrialState
    ended = _folders(study, states.COMPLETE, states.FAIL)
    return ended - _folders(study, states.RUNNING, states.WAITING)


def _folders(study: Any, *states: Any) -> set[str]:
    return {_folder(trial) for trial in study.get_trials(deepcopy=False, states=states)}


def _held_ones(study: Any, out: Path) -> list[Any]:
    """Trials that a living process works on."""
    return [trial for trial in _open(study) if _is_held(out / _folder(trial))]


def _adopt_stopped(study: Any, out: Path) -> None:
    """Ends trials whose process is gone, and queues each again to go on in its folder."""
    states = need("optuna").trial.TrialState
    for trial in _open(study):
        if trial.params and not _is_held(out / _folder(trial)):
            study.tell(trial.number, state=states.FAIL, skip_if_finished=True)
            study.enqueue_trial(trial.params, user_attrs={FOLDER: _folder(trial)})


def _open(study: Any) -> list[Any]:
    states = need("optuna").trial.TrialState
    return list(study.get_trials(deepcopy=False, states=(states.RUNNING,)))


def _folder(trial: Any) -> str:
    return str(trial.user_attrs.get(FOLDER, f"trial{trial.number:04d}"))


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """While open, others see that a living process works in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_held(folder: Path) -> bool:
    if not (folder / ".lock").is_file():
        return False
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False

"""Carrying out what a comparison lacks."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from joblib import Parallel, delayed  # type: ignore[import-untyped]
from rich.console import Console

from advprune.choices import check_count
from advprune.comparison import table, writing
from advprune.comparison.plan import PlannedRun, controls_of, plan
from advprune.recipes import Recipe
from advprune.recipes.run import run_recipe


def compare(
    sources: Sequence[str],
    *,
    seeds: int = 1,
    out: str | Path = "runs/comparison",
    overrides: Iterable[str] = (),
    controls: bool = False,
    workers: int = 1,
    console: Console | None = None,
) -> list[table.Row]:
    """Runs what is missing, resumes what was stopped, skips what is done; then one table of all.

    Runs go side by side over processes by joblib, which is there anyway (scikit-learn rests on
    it), needs no service, and hands the same calls to a Dask or Ray cluster inside
    ``joblib.parallel_config(backend=...)``; their folders must then be shared. Each run is a folder
    of its own, so one that fails leaves the others and the table of them.

    Args:
        sources: Names or files of recipes, a row each.
        seeds: Runs of each recipe.
        out: Folder of the runs and of the table: ``table.csv``, ``table.md``, ``comparison.html``.
        overrides: Values to change in every recipe.
        controls: Whether every run that pruned units gets its controls, rows of their own: see
            `advprune.recipes.controls`.
        workers: Runs at a time.
        console: Where progress and the table are shown.

    Returns:
        The table.

    Raises:
        ValueError: A recipe or a number that is wrong; before anything runs.
        RuntimeError: Runs that failed, by name, once all others are done and the table is written.
    """
    check_count("workers", workers)
    console = console or Console()
    runs = plan(sources, seeds, out, overrides)
    failures = _carried_out(runs, workers, console)
    if controls:
        families = [[run, *controls_of(run)] if run.state == "done" else [run] for run in runs]
        failures += _carried_out([run for own in families for run in own[1:]], workers, console)
        runs = [run for own in families for run in own]
    found = table.rows(runs)
    page = writing.write(found, out)
    console.print(writing.terminal(found))
    console.print(f"Table and picture: {page}", highlight=False, soft_wrap=True)
    if failures:
        raise RuntimeError("these runs failed:\n" + "\n".join(failures))
    return found


def _carried_out(runs: Sequence[PlannedRun], workers: int, console: Console) -> list[str]:
    """Runs those that are not done; what went wrong, a line each."""
    done = sum(run.state == "done" for run in runs)
    console.print(f"{done} of {len(runs)} runs are done", highlight=False)
    runs = [run for run in runs if run.state != "done"]
    if workers == 1:
        found: Iterable[str | None] = (_run(run.recipe, run.folder, console) for run in runs)
    else:
        parallel = Parallel(n_jobs=workers, return_as="generator_unordered")
        found = parallel(delayed(_run_quietly)(run.recipe, run.folder) for run in runs)
    failures = []
    for number, failure in enumerate(found, 1):
        console.print(f"{number} of {len(runs)} more runs ended", highlight=False)
        if failure is not None:
            failures.append(failure)
            console.print(failure, style="red", highlight=False, soft_wrap=True)
    return failures


def _run_quietly(recipe: Recipe, folder: Path) -> str | None:
    """A run whose terminal is the file ``log.txt`` of its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        return _run(recipe, folder, Console(file=log, width=100))


def _run(recipe: Recipe, folder: Path, console: Console) -> str | None:
    """Runs or resumes one; says what went wrong, if anything did."""
    console.rule(folder.name)
    try:
        run_recipe(recipe, folder, resume=(folder / "recipe.yaml").is_file(), console=console)
    except (ValueError, RuntimeError, OSError) as error:
        return f"{folder}: {error}"
    return None

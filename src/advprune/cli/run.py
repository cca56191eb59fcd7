"""`advprune run`: from data to a small robust model and its report."""

import datetime as dt
from pathlib import Path

import click

RUNS = Path("runs")


@click.command(short_help="From data to a small robust model and its report.")
@click.argument("recipe")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of the recipe, such as seed=3 or training.phases.prune.epochs=5."
    " May be given several times.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the run.  [default: a new one, runs/NAME-TIME]",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue a run that was stopped; without --out, the latest one of this recipe.",
)
def run(recipe: str, assignments: tuple[str, ...], out: Path | None, resume: bool) -> None:
    """Train, prune, slim, attack and report: the whole way from data to a small robust model.

    RECIPE is a YAML file, or the name of a recipe that comes along, such as digits or
    mnist-anp-vs (a wrong name lists them all).
    """
    from advprune import recipes
    from advprune.recipes.run import run_recipe

    chosen = recipes.load(recipe, assignments)
    folder = out or (_latest_run(chosen.name) if resume else _new_run(chosen.name))
    try:
        run_recipe(chosen, folder, resume=resume)
    except KeyboardInterrupt as interruption:
        again = f"advprune run {folder / 'recipe.yaml'} --out {folder} --resume"
        raise KeyboardInterrupt(f"Continue with:\n  {again}") from interruption


def _new_run(name: str) -> Path:
    return RUNS / f"{name}-{dt.datetime.now().astimezone():%Y%m%d-%H%M%S}"


def _latest_run(name: str) -> Path:
    stamp = "[0-9]" * 8 + "-" + "[0-9]" * 6
    found = sorted(RUNS.glob(f"{name}-{stamp}"))
    if not found:
        raise ValueError(f"no run of {name} in {RUNS.resolve()}: name its folder with --out")
    return found[-1]

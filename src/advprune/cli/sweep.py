"""`advprune sweep`: many settings of one recipe."""

from pathlib import Path

import click


@click.command(short_help="Search a recipe's settings for robust and small networks.")
@click.argument("recipe")
@click.option(
    "--vary",
    multiple=True,
    required=True,
    metavar="KEY=LOW..HIGH",
    help="What varies: KEY=LOW..HIGH, KEY=LOW..HIGH:log or KEY=A|B|C. May be given several times.",
)
@click.option("--trials", default=20, show_default=True, help="Trials of the whole study.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value in every trial. May be given several times.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the study.  [default: runs/sweep-RECIPE]",
)
def sweep(
    recipe: str, vary: tuple[str, ...], trials: int, assignments: tuple[str, ...], out: Path | None
) -> None:
    """Train RECIPE with many settings: robust accuracy high, multiply-accumulates few.

    Judged on the validation images alone. Call it in several terminals, or on several machines that
    share the folder, to work on one study side by side; call it again to go on with one that was
    stopped.
    """
    from advprune.comparison.sweep import sweep as run_sweep

    folder = out or Path("runs") / f"sweep-{Path(recipe).stem}"
    run_sweep(recipe, vary, trials=trials, out=folder, overrides=assignments)

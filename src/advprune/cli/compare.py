"""`advprune compare`: several recipes, several seeds, one table."""

from pathlib import Path

import click


@click.command(short_help="Several methods, one table.")
@click.argument("sources", metavar="RECIPES...", nargs=-1, required=True)
@click.option("--seeds", default=1, show_default=True, help="Runs of each recipe.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value in every recipe. May be given several times.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/comparison"),
    show_default=True,
    help="Folder of all runs and of the table.",
)
@click.option(
    "--controls",
    is_flag=True,
    help="Train the controls of every run that pruned units, too: its final widths from scratch,"
    " all layers narrowed alike and random widths, for as many multiply-accumulates.",
)
@click.option("--workers", default=1, show_default=True, help="Runs at a time, each a process.")
def compare(
    sources: tuple[str, ...],
    seeds: int,
    assignments: tuple[str, ...],
    out: Path,
    controls: bool,
    workers: int,
) -> None:
    """Run what is missing of RECIPES, resume what was stopped, and put all into one table.

    RECIPES are names or YAML files, a row of the table each. A run is known again by its recipe,
    the code and the data: what is done is not done twice.
    """
    from advprune import comparison

    try:
        comparison.compare(
            sources,
            seeds=seeds,
            out=out,
            overrides=assignments,
            controls=controls,
            workers=workers,
        )
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error

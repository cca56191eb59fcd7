"""`advprune report`: the page of a finished run again."""

from pathlib import Path

import click


@click.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
def report(run_folder: Path) -> None:
    """Write the HTML report of a finished run again.

    RUN is the run's folder.
    """
    from advprune import report as reports

    click.echo(f"Written: {reports.write(run_folder)}")

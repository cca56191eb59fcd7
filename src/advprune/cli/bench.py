"""`advprune bench`: how fast saved models and exported files are."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from advprune.shipping import Latency


@click.command(short_help="Time saved models and exported files side by side.")
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--batch",
    "batches",
    multiple=True,
    type=click.IntRange(1),
    default=(1, 100),
    show_default=True,
    help="Images a pass; may be given several times.",
)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=100, show_default=True)
@click.option("--compile/--no-compile", "compiled", default=True, help="Time torch.compile too.")
@click.option("--trust-code", is_flag=True, help="Import the code that a model of one's own needs.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file for the times.")
@click.option("--picture", type=click.Path(path_type=Path), help="PNG or SVG file for a picture.")
def bench(
    files: tuple[str, ...],
    batches: tuple[int, ...],
    threads: int,
    rounds: int,
    compiled: bool,
    trust_code: bool,
    out: Path | None,
    picture: Path | None,
) -> None:
    """Time forward passes in turns, so that whatever else the machine does meets all alike.

    FILES are folders that a run or advprune.save wrote, zoo:NAME, and exported files (.onnx, .xml,
    .pte). Others are compared with the first of them.
    """
    from rich.console import Console

    from advprune.evaluation import environment, write_json
    from advprune.shipping.bench import bench as measure

    times = measure(
        files,
        batch_sizes=batches,
        threads=threads,
        rounds=rounds,
        compiled=compiled,
        trust_code=trust_code,
    )
    Console().print(_table(times))
    if out is not None:
        figures = {name: [time.to_dict() for time in found] for name, found in times.items()}
        written = write_json(out, {"times": figures, "environment": environment()})
        click.echo(f"Written: {written}")
    if picture is not None:
        from advprune.report.speed import draw

        click.echo(f"Written: {draw(times, picture)}")


def _table(times: "dict[str, list[Latency]]") -> "Table":
    from rich.table import Table

    first = next(iter(times.values()))
    machine = f"{first[0].threads} thread(s), {first[0].processor}"
    table = Table(title=f"ms a pass, median over p10 to p90; {machine}")
    table.add_column("file", overflow="fold")
    table.add_column("run by")
    for time in first:
        table.add_column(f"batch {time.batch}", justify="right", no_wrap=True)
        table.add_column("faster", justify="right")
    for name, found in times.items():
        cells = []
        for time, reference in zip(found, first, strict=True):
            cells.append(f"{time.median_ms:.3f}\n{time.p10_ms:.3f} to {time.p90_ms:.3f}")
            cells.append(f"{reference.median_ms / time.median_ms:.2f}x")
        table.add_row(name, found[0].backend, *cells)
    return table

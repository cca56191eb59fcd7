"""The comparison's table for the terminal, as CSV, as Markdown and as a page with its picture."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from rich.table import Table

from advprune.comparison import front
from advprune.comparison.table import COLUMNS, Column, Row
from advprune.files import write_text

MAIN = ("clean", "robust", "macs", "latency")
FRONT = "★"
"""Marks a row on the Pareto front of robust accuracy against MACs."""


def terminal(rows: Sequence[Row]) -> Table:
    """The main columns, as many as a terminal of 80 characters holds; the files have them all."""
    table = Table(caption=f"mean ± std over seeds; {FRONT} on the front of worst case against MACs")
    table.add_column("recipe", overflow="fold")
    shown = [column for column in _shown(rows) if column.key in MAIN]
    for column in shown:
        table.add_column(column.title, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(_named(row), *_texts(row, shown))
    return table


def write(rows: Sequence[Row], out: str | Path) -> Path:
    """Writes ``table.csv``, ``table.md`` and ``comparison.html`` into a folder.

    Returns:
        The path of the page.
    """
    out = Path(out)
    write_text(out / "table.csv", _csv(rows))
    write_text(out / "table.md", "\n".join(_markdown(rows)) + "\n")
    return write_text(out / "comparison.html", _page(rows))


def _csv(rows: Sequence[Row]) -> str:
    """Every column, as numbers: mean and std apart."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = [f"{column.key}{part}" for column in COLUMNS for part in ("", "_std")]
    writer.writerow(["recipe", "runs", "on_front", *heads])
    for row in rows:
        found = [row.figures.get(column.key) for column in COLUMNS]
        cells = [
            value for own in found for value in (("", "") if own is None else (own.mean, own.std))
        ]
        writer.writerow([row.name, row.runs, int(row.on_front), *cells])
    return text.getvalue()


def _markdown(rows: Sequence[Row]) -> Iterator[str]:
    shown = _shown(rows)
    yield "| recipe | " + " | ".join(column.title for column in shown) + " |"
    yield "|---|" + "---:|" * len(shown)
    for row in rows:
        yield f"| {_named(row)} | " + " | ".join(_texts(row, shown)) + " |"


def _page(rows: Sequence[Row]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    shown = _shown(rows)
    return environment.get_template("comparison.html").render(
        titles=[column.title for column in shown],
        rows=[(_named(row), _texts(row, shown)) for row in rows],
        picture=Markup(picture(rows)),  # noqa: S704  the picture escapes its own text
        star=FRONT,
    )


def picture(rows: Sequence[Row]) -> str:
    """Worst case against MACs as SVG; nothing where no row has both."""
    pairs = {
        row.name: (row.figures["robust"], row.figures["macs"])
        for row in rows
        if {"robust", "macs"} <= row.figures.keys()
    }
    points = {name: (robust.mean, macs.mean) for name, (robust, macs) in pairs.items()}
    spreads = {name: (robust.std or 0.0, macs.std or 0.0) for name, (robust, macs) in pairs.items()}
    return front.picture(points, spreads, "worst case, % right") if points else ""


def _shown(rows: Sequence[Row]) -> list[Column]:
    return [column for column in COLUMNS if any(column.key in row.figures for row in rows)]


def _texts(row: Row, shown: Sequence[Column]) -> list[str]:
    found = [(row.figures.get(column.key), column.digits) for column in shown]
    return ["–" if figure is None else figure.text(digits) for figure, digits in found]


def _named(row: Row) -> str:
    lacking = "" if row.runs == row.planned else f" ({row.runs} of {row.planned} runs)"
    return f"{row.name}{' ' + FRONT if row.on_front else ''}{lacking}"

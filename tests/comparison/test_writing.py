import csv
from pathlib import Path

from rich.console import Console

from advprune.comparison import writing
from advprune.comparison.table import Figure, Row

ROWS = [
    Row("a", 2, 2, {"robust": Figure(55.0, 1.5), "macs": Figure(1000.0, 0.0)}, True),
    Row("b", 1, 2, {"robust": Figure(50.0, None), "macs": Figure(1500.0, None)}, False),
    Row("c <i>", 0, 2, {}, False),
]


def test_the_csv_holds_numbers_in_every_column(tmp_path: Path) -> None:
    writing.write(ROWS, tmp_path)
    first, second, third = csv.DictReader((tmp_path / "table.csv").open(encoding="utf-8"))
    assert (first["robust"], first["robust_std"], first["on_front"]) == ("55.0", "1.5", "1")
    assert (second["robust"], second["robust_std"], second["clean"]) == ("50.0", "", "")
    assert third["runs"] == "0"


def test_markdown_shows_what_was_measured(tmp_path: Path) -> None:
    writing.write(ROWS, tmp_path)
    lines = (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "| recipe | worst case % | MACs |"
    assert lines[2] == "| a ★ | 55.00 ± 1.50 | 1,000 ± 0 |"
    assert lines[3] == "| b (1 of 2 runs) | 50.00 | 1,500 |"
    assert lines[4].endswith("| – | – |")


def test_the_page_stands_alone_and_escapes_names(tmp_path: Path) -> None:
    page = writing.write(ROWS, tmp_path).read_text(encoding="utf-8")
    assert "<svg" in page
    assert "c &lt;i&gt;" in page
    assert "http" not in page


def test_a_terminal_sees_the_same() -> None:
    console = Console(width=120)
    with console.capture() as text:
        console.print(writing.terminal(ROWS))
    assert "55.00 ± 1.50" in text.get()


def test_without_any_figure_there_is_still_a_table(tmp_path: Path) -> None:
    page = writing.write([ROWS[2]], tmp_path).read_text(encoding="utf-8")
    assert "<svg" not in page

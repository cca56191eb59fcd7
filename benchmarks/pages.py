"""Tables and pictures that a command writes into the documents."""

from pathlib import Path


def marks(name: str = "results") -> tuple[str, str]:
    """What stands before and after a table of that name."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def put(page: Path, text: str, name: str = "results") -> None:
    """Replaces the table of that name in a document.

    Raises:
        ValueError: The document has no place for it.
    """
    begin, end = marks(name)
    whole = page.read_text("utf-8")
    if begin not in whole or end not in whole:
        raise ValueError(f"{page} has no place for a table: allowed is {begin} above {end}")
    before, after = whole.partition(begin)[0], whole.partition(end)[2]
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")


def write_picture(path: Path, svg: str) -> None:
    """Writes a picture of a report as a file that stands alone: outside a page it needs more."""
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    path.write_text(svg.replace("<svg", f'<svg {names} color="#6e7781"', 1) + "\n", "utf-8")

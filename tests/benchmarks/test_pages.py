from pathlib import Path

import pages
import pytest


def test_a_table_goes_between_its_marks_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    begin, end = pages.marks("mine")
    others = "\n".join(pages.marks("other"))
    page.write_text(f"above\n{begin}\nold\n{end}\n{others}\nbelow\n")
    pages.put(page, "| new |", "mine")
    assert page.read_text() == f"above\n{begin}\n| new |\n{end}\n{others}\nbelow\n"


def test_a_page_without_a_place_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text")
    with pytest.raises(ValueError, match=r"page\.md has no place for a table"):
        pages.put(page, "| new |")
    assert page.read_text() == "text"


def test_a_picture_stands_alone(tmp_path: Path) -> None:
    pages.write_picture(tmp_path / "a.svg", '<svg role="img"></svg>')
    assert (tmp_path / "a.svg").read_text().startswith('<svg xmlns="http://www.w3.org/2000/svg"')

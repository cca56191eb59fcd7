import os
from pathlib import Path

import pytest

from advprune.files import write_text


def test_folders_are_made_and_no_draft_is_left(tmp_path: Path) -> None:
    path = write_text(tmp_path / "deep" / "note.txt", "naïve")
    assert path.read_text(encoding="utf-8") == "naïve"
    assert list(path.parent.iterdir()) == [path]


def test_what_stood_there_stays_until_the_new_text_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError("no space left")

    path = write_text(tmp_path / "note.txt", "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_text(path, "new")
    assert path.read_text() == "old"

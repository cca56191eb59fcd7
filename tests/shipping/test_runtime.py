from pathlib import Path

import pytest

from advprune.shipping import Shipped


def test_only_files_that_are_there_and_known_are_opened(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file"):
        Shipped(tmp_path / "net.onnx")
    with pytest.raises(ValueError, match=r"Known: \.onnx, \.xml, \.pte"):
        Shipped(tmp_path / "net.pt2")
    with pytest.raises(ValueError, match="threads=0"):
        Shipped(tmp_path / "net.onnx", threads=0)


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_damaged_file_is_told_as_such(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"net{suffix}").write_bytes(b"no network")
    with pytest.raises(ValueError, match="cannot be opened"):
        Shipped(tmp_path / f"net{suffix}")

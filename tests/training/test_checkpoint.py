import errno
from pathlib import Path

import pytest
import torch
from torch import Tensor

from advprune.training import checkpoint

TENSORS = {"w": torch.arange(3.0)}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "step-1", TENSORS, {"epoch": 2})
    tensors, state = checkpoint.read(tmp_path / "step-1")
    assert tensors["w"].tolist() == [0, 1, 2]
    assert state == {"epoch": 2}


def test_tensors_that_share_memory_are_written_apart(tmp_path: Path) -> None:
    base = torch.arange(4.0)
    checkpoint.write(tmp_path / "step-1", {"a": base, "b": base[::2]}, {})
    assert checkpoint.read(tmp_path / "step-1")[0]["b"].tolist() == [0, 2]


def test_the_newest_is_the_latest(tmp_path: Path) -> None:
    for name in ("step-010", "step-009"):
        checkpoint.write(tmp_path / name, TENSORS, {})
    assert checkpoint.latest(tmp_path) == tmp_path / "step-010"


def test_a_half_written_folder_is_ignored_and_cleared(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-step-2").mkdir()
    checkpoint.write(tmp_path / "step-1", TENSORS, {})
    assert checkpoint.latest(tmp_path) == tmp_path / "step-1"
    checkpoint.prune(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"]


def test_only_the_newest_are_kept_and_others_left_alone(tmp_path: Path) -> None:
    for name in ("step-1", "step-2", "step-3", "best"):
        checkpoint.write(tmp_path / name, TENSORS, {})
    checkpoint.prune(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "step-2", "step-3"]


def test_a_full_disk_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.write(tmp_path / "step-1", TENSORS, {})

    def fill_up(_tensors: dict[str, Tensor], path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", fill_up)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write(tmp_path / "step-2", TENSORS, {})
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"]
    assert checkpoint.read(tmp_path / "step-1")[0]["w"].tolist() == [0, 1, 2]

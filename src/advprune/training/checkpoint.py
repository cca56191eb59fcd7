"""Checkpoints: a folder with ``tensors.safetensors`` and ``state.json``, whole or not there.

A checkpoint is written under a temporary name, flushed to the disk, and renamed; older ones are
deleted only afterwards. Killed or out of space at any moment, the last whole one is usable.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

_TENSORS = "tensors.safetensors"
_STATE = "state.json"
_UNFINISHED = ".unfinished-"


def write(folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Writes one checkpoint; ``folder`` appears only when it is whole.

    Raises:
        OSError: The disk is full or cannot be written; what was there before is untouched.
    """
    unfinished = folder.with_name(_UNFINISHED + folder.name)
    _discard(unfinished)
    unfinished.mkdir(parents=True)
    try:
        _write_files(unfinished, tensors, state)
    except BaseException:
        _discard(unfinished)
        raise
    _put_in_place(unfinished, folder)


def read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the state of a checkpoint."""
    return load_file(folder / _TENSORS), read_state(folder)


def read_state(folder: Path) -> dict[str, Any]:
    """The state of a checkpoint."""
    state: dict[str, Any] = json.loads((folder / _STATE).read_text())
    return state


def latest(parent: Path) -> Path | None:
    """The newest whole ``step-…`` checkpoint, if there is one."""
    return max(_steps(parent), default=None)


def prune(parent: Path, keep: int) -> None:
    """Deletes all but the ``keep`` newest ``step-…`` checkpoints, and what was left unfinished."""
    for folder in (*sorted(_steps(parent))[:-keep], *parent.glob(f"{_UNFINISHED}*")):
        _discard(folder)


def _steps(parent: Path) -> list[Path]:
    return list(parent.glob("step-*"))


def _write_files(folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    # safetensors refuses tensors that share memory or have gaps
    save_file(
        {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()},
        folder / _TENSORS,
    )
    (folder / _STATE).write_text(json.dumps(state, indent=1))
    for name in (_TENSORS, _STATE):
        _flush(folder / name)
    _flush(folder)


def _put_in_place(new: Path, folder: Path) -> None:
    _discard(folder)  # of the same name only when an epoch is run again: the same content
    new.rename(folder)
    _flush(folder.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)

"""IDX files, the format of MNIST and its kin (yann.lecun.com/exdb/mnist)."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from advprune.data.images import Images

UNSIGNED_BYTE = 0x08


def read(path: str | Path) -> dict[str, Images]:
    """Read a folder of the four files of MNIST, plain or gzipped.

    They are ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the same two with
    ``t10k`` for the test images; a dot may stand before ``idx``.

    Raises:
        FileNotFoundError: If one is missing.
        ValueError: If one is damaged, or images and labels do not fit together.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"No folder {folder}: it should hold the four IDX files.")
    arrays = {
        split: (_array(folder, f"{prefix}-images", 3), _array(folder, f"{prefix}-labels", 1))
        for split, prefix in (("train", "train"), ("test", "t10k"))
    }
    labels = arrays["train"][1]
    classes = tuple(str(index) for index in range(int(labels.max()) + 1 if len(labels) else 0))
    return {
        split: Images(x.unsqueeze(1), y.long(), classes, f"{folder.name} {split}")
        for split, (x, y) in arrays.items()
    }


def _array(folder: Path, stem: str, dimensions: int) -> Tensor:
    names = [f"{stem}{mark}idx{dimensions}-ubyte{end}" for mark in "-." for end in ("", ".gz")]
    for file in (folder / name for name in names):
        if file.is_file():
            return _parse(_content(file), dimensions, file)
    raise FileNotFoundError(f"{folder} holds none of {', '.join(names)}.")


def _content(file: Path) -> bytes:
    raw = file.read_bytes()
    if file.suffix != ".gz":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{file} is no whole gzip file ({error}); fetch it again.") from error


def _parse(content: bytes, dimensions: int, file: Path) -> Tensor:
    header = 4 * (1 + dimensions)
    magic = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    if content[:4] != magic:
        raise ValueError(
            f"{file} is no IDX file of bytes in {dimensions} dimensions: it should start with"
            f" {magic.hex(' ')}, got {content[:4].hex(' ') or 'nothing'}."
        )
    if len(content) < header:
        raise ValueError(f"{file} ends within its header of {header} bytes; fetch it again.")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    expected = header + math.prod(shape)
    if len(content) != expected:
        raise ValueError(
            f"{file} should hold {expected} bytes for the shape {shape} in its header, got"
            f" {len(content)}; fetch it again."
        )
    values = np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
    return torch.from_numpy(values.copy())

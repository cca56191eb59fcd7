"""Picture files decoded into one tensor of bytes."""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

Size = int | tuple[int, int] | None
MODES = {1: "L", 3: "RGB"}
DEEP = ("I", "F")
"""Pillow's modes of 16 and 32 bits, which it clips to 8 without a word."""


def decode(pictures: Iterable[tuple[str, Path | bytes]], size: Size, channels: int) -> Tensor:
    """Decode pictures, each a name for messages with a file or its content.

    Args:
        pictures: What to decode.
        size: Height and width (one int for both) to resize to, bilinearly; None leaves the
            pictures as they are, and then all must have one size.
        channels: 1 for grey, 3 for red, green and blue; the pictures are converted.

    Returns:
        uint8 (number, channels, height, width).

    Raises:
        ValueError: If a setting is no good, there are no pictures, one cannot be read, or they
            differ in size.
    """
    if channels not in MODES:
        raise ValueError(f"channels must be 1 (grey) or 3 (RGB), got {channels!r}.")
    height_width = _height_width(size)
    arrays: list[Tensor] = []
    first = ""
    for name, source in pictures:
        pixels = _pixels(name, source, height_width, MODES[channels])
        first = first or name
        if arrays and pixels.shape != arrays[0].shape:
            raise ValueError(
                f"Images differ in size: {first} has {_shape(arrays[0])}, {name} has"
                f" {_shape(pixels)} (height x width). Give size= to resize all of them."
            )
        arrays.append(pixels)
    if not arrays:
        raise ValueError("There are no images.")
    return torch.stack(arrays).permute(0, 3, 1, 2).contiguous()


def _pixels(
    name: str, source: Path | bytes, height_width: tuple[int, int] | None, mode: str
) -> Tensor:
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as picture:
            converted = picture.convert(mode)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{name} cannot be read as an image: {error}.") from error
    if picture.mode.startswith(DEEP):
        raise ValueError(
            f"{name} has more than 8 bits a pixel (Pillow's mode {picture.mode}); save it with 8."
        )
    if height_width is not None:
        converted = converted.resize(height_width[::-1], Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(converted))
    return pixels.view(*pixels.shape[:2], -1)


def _height_width(size: Size) -> tuple[int, int] | None:
    if size is None:
        return None
    height_width = (size, size) if isinstance(size, int) else tuple(size)
    if len(height_width) != 2 or min(height_width) < 1:
        raise ValueError(f"size must be a positive int or (height, width), got {size!r}.")
    return height_width


def _shape(pixels: Tensor) -> str:
    return f"{pixels.shape[0]}x{pixels.shape[1]}"

"""Image folders: one folder a split, in it one folder a class."""

from pathlib import Path

import torch
from PIL import Image

from advprune.data.images import Images
from advprune.data.pictures import Size, decode

VALIDATION = ("val", "valid", "validation")


def read(path: str | Path, *, size: Size = None, channels: int = 3) -> dict[str, Images]:
    """Read ``train/CLASS/*`` and ``test/CLASS/*``.

    Where there is no ``test`` folder, ``val`` (or ``valid``, ``validation``) takes its place; where
    there are both, ``val`` holds the validation images. Classes are numbered in the order of their
    names. Files without a picture's ending, and hidden ones, are passed over.

    Args:
        path: The folder that holds the splits.
        size: Height and width to resize to; None takes the pictures as they are.
        channels: 1 for grey, 3 for red, green and blue.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If classes differ between splits, one is empty, or pictures are no good.
    """
    splits = _splits(Path(path))
    classes = _classes(splits["train"])
    return {
        split: _images(folder, classes, f"{Path(path).name} {split}", size, channels)
        for split, folder in splits.items()
    }


def _splits(root: Path) -> dict[str, Path]:
    if not root.is_dir():
        raise FileNotFoundError(f"No folder {root}: it should hold train/CLASS and test/CLASS.")
    held = [root / name for name in VALIDATION if (root / name).is_dir()]
    found = [root / "test", *held] if (root / "test").is_dir() else held
    if not (root / "train").is_dir() or not found:
        present = ", ".join(sorted(entry.name for entry in root.iterdir())) or "nothing"
        raise FileNotFoundError(f"{root} should hold train/ and test/ (or val/); holds {present}.")
    return {"train": root / "train", **dict(zip(("test", "validation"), found, strict=False))}


def _classes(folder: Path) -> tuple[str, ...]:
    return tuple(
        sorted(
            entry.name
            for entry in folder.iterdir()
            if entry.is_dir() and not entry.name.startswith(".")
        )
    )


def _images(folder: Path, classes: tuple[str, ...], name: str, size: Size, channels: int) -> Images:
    if not classes or _classes(folder) != classes:
        raise ValueError(
            f"{folder} must hold a folder for each class of train ({', '.join(classes) or 'none'}),"
            f" got {', '.join(_classes(folder)) or 'none'}."
        )
    files = [_files(folder / label) for label in classes]
    x = decode(((str(file), file) for group in files for file in group), size, channels)
    counts = torch.tensor([len(group) for group in files])
    return Images(x, torch.arange(len(classes)).repeat_interleave(counts), classes, name)


def _files(folder: Path) -> list[Path]:
    endings = Image.registered_extensions()
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in endings and not file.name.startswith(".")
    )
    if not files:
        raise ValueError(f"{folder} holds no image files.")
    return files

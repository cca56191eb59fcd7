"""Hugging Face data sets, from a local folder or by name."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from advprune.data.images import Images
from advprune.data.pictures import Size, decode

LABELS = ("label", "labels")


def read(
    path: str | Path,
    *,
    image: str | None = None,
    label: str | None = None,
    config: str | None = None,
    size: Size = None,
    channels: int = 3,
) -> dict[str, Images]:
    """Read the splits ``train`` and ``test`` (or ``validation`` in its place) of a data set.

    Where there are all three, ``validation`` holds the validation images.

    Args:
        path: A folder (of Parquet files, say, or as ``save_to_disk`` leaves it), or a name on the
            hub, which is then downloaded.
        image: The column of images; None takes the only one that there is.
        label: The column of class indices; None takes ``label``, ``labels``, or the only one of
            class labels.
        config: The configuration of a data set that has several.
        size: Height and width to resize to; None takes the pictures as they are.
        channels: 1 for grey, 3 for red, green and blue.

    Raises:
        ImportError: If the ``huggingface`` extra is not installed.
        FileNotFoundError: If there is no such data set.
        ValueError: If splits, columns, labels or pictures are no good.
    """
    splits = _splits(_dataset(path, config), str(path))
    image = image or _only_image(splits["train"])
    label = label or _only_label(splits["train"])
    classes = _classes(splits["train"], label)
    return {
        split: _images(rows, image, label, classes, f"{Path(path).name} {split}", size, channels)
        for split, rows in splits.items()
    }


def _dataset(path: str | Path, config: str | None) -> Mapping[str, Any]:
    try:
        import datasets  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(
            "Hugging Face data sets need the extra: pip install 'advprune[huggingface]'."
        ) from error
    local = Path(path).is_dir()
    if not local and not _may_be_on_the_hub(path):
        raise FileNotFoundError(f"No folder {path}: it should hold a Hugging Face data set.")
    try:
        if (Path(path) / "dataset_dict.json").is_file():
            found: Mapping[str, Any] = datasets.load_from_disk(str(path))
        else:
            found = datasets.load_dataset(os.fspath(path), config)
    except OSError as error:
        where = "The folder" if local else "Neither a local folder nor the hub"
        raise FileNotFoundError(f"{where} gives no data set {str(path)!r}: {error}") from error
    except (ValueError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(f"The data set {str(path)!r} cannot be read: {error}") from error
    return found


def _may_be_on_the_hub(path: str | Path) -> bool:
    """Whether ``path`` can be NAME or OWNER/NAME, rather than a mistyped folder."""
    return (
        isinstance(path, str)
        and not path.startswith((".", "/", "~"))
        and len(Path(path).parts) <= 2
    )


def _splits(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    held = [found[split] for split in ("test", "validation") if split in found]
    if "train" not in found or not held:
        raise ValueError(
            f"{name} must have the splits train and test (or validation), has {', '.join(found)}."
        )
    return {"train": found["train"], **dict(zip(("test", "validation"), held, strict=False))}


def _of_type(rows: Any, kind: str) -> list[str]:
    """Name the columns whose feature is ``datasets.<kind>``."""
    return [name for name, feature in rows.features.items() if type(feature).__name__ == kind]


def _only_image(rows: Any) -> str:
    found = _of_type(rows, "Image")
    if len(found) != 1:
        raise ValueError(f"Give image=, the column of images; there are {_columns(rows)}.")
    return found[0]


def _only_label(rows: Any) -> str:
    usual = [name for name in LABELS if name in rows.features]
    found = usual or _of_type(rows, "ClassLabel")
    if len(found) != 1:
        raise ValueError(f"Give label=, the column of labels; there are {_columns(rows)}.")
    return found[0]


def _columns(rows: Any) -> str:
    return ", ".join(f"{name} ({type(kind).__name__})" for name, kind in rows.features.items())


def _classes(rows: Any, label: str) -> tuple[str, ...]:
    names = getattr(rows.features.get(label), "names", None)
    if names:
        return tuple(names)
    highest = int(_labels(rows, label).max()) if len(rows) else -1
    return tuple(str(index) for index in range(highest + 1))


def _labels(rows: Any, label: str) -> torch.Tensor:
    if label not in rows.features:
        raise ValueError(f"No column {label!r} of labels; there are {_columns(rows)}.")
    values = list(rows[label])
    if not all(isinstance(value, int) for value in values):
        raise ValueError(f"Column {label!r} must hold integer class indices on every row.")
    return torch.tensor(values, dtype=torch.int64)


def _images(
    rows: Any,
    image: str,
    label: str,
    classes: tuple[str, ...],
    name: str,
    size: Size,
    channels: int,
) -> Images:
    if image not in _of_type(rows, "Image"):
        raise ValueError(f"No column {image!r} of images; there are {_columns(rows)}.")
    x = decode(_pictures(rows, image, name), size, channels)
    return Images(x, _labels(rows, label), classes, name)


def _pictures(rows: Any, image: str, name: str) -> Iterator[tuple[str, Path | bytes]]:
    import datasets

    encoded = rows.select_columns([image]).cast_column(image, datasets.Image(decode=False))
    for index, row in enumerate(encoded):
        picture = row[image] or {}
        if not picture.get("bytes") and not picture.get("path"):
            raise ValueError(f"{name}: row {index} has no image in column {image!r}.")
        yield f"{name}, row {index}", picture.get("bytes") or Path(picture["path"])

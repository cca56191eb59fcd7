"""Data sets by name, with the validation images held out of the training images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from advprune.choices import check_arguments, choose
from advprune.data import digits, folder, huggingface, idx
from advprune.data.images import Images, Splits
from advprune.data.splitting import stratified

Source = Callable[..., dict[str, Images]]

# Each gives the splits "train" and "test", and "validation" where the data come with one.
SOURCES: dict[str, Source] = {
    "digits": digits.read,
    "idx": idx.read,
    "mnist": idx.read,
    "folder": folder.read,
    "huggingface": huggingface.read,
}


def load(
    name: str,
    *,
    path: str | Path | None = None,
    validation: float = 0.1,
    seed: int = 0,
    **options: Any,
) -> Splits:
    """Load a data set.

    Args:
        name: A name in ``SOURCES``; ``"name:path"`` is short for a name and its path.
        path: The folder of the data; for Hugging Face data sets also a name on its hub.
        validation: Images to hold out of the training ones, the same share of each class: an int
            counts them, a float is their fraction. Unused where the data come with a validation
            split of their own. The test images are never touched.
        seed: Draws the images that are held out.
        options: What the source takes besides, such as ``size`` or ``label``.

    Raises:
        FileNotFoundError: If there are no such data; says what was looked for.
        ValueError: If a setting or the data are no good; says how, and the cure.
    """
    if path is None and ":" in name:
        name, _, path = name.partition(":")
    arguments = options if path is None else {"path": path, **options}
    read = choose("data set", name, SOURCES)
    check_arguments(f"Data set {name!r}", read, arguments)
    parts = read(**arguments)
    if "validation" not in parts:
        train = parts["train"]
        kept, held_out = stratified(train.y, _count(validation, train), seed)
        parts["validation"] = replace(train.subset(held_out), name=f"{train.name}, held out")
        parts["train"] = train.subset(kept)
    _check_classes(parts["train"])
    return Splits(parts["train"], parts["validation"], parts["test"])


def _count(validation: float, train: Images) -> int:
    count = validation if isinstance(validation, int) else round(validation * len(train))
    if not 0 <= count < len(train) or (isinstance(validation, float) and validation >= 1):
        raise ValueError(
            f"validation must be a fraction in [0, 1) or a number of images below {len(train)},"
            f" got {validation!r}."
        )
    return count


def _check_classes(train: Images) -> None:
    counts = torch.bincount(train.y, minlength=len(train.classes))
    empty = [train.classes[index] for index in (counts == 0).nonzero().flatten().tolist()]
    if empty or len(train.classes) < 2:
        raise ValueError(
            f"{train.name}: each of the classes 0 to C - 1, at least two, needs a training image;"
            f" none of {', '.join(empty) or 'a second class'}."
        )

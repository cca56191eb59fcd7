"""Labelled images in memory, and the checks that every batch of images has to pass."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images of one split.

    Args:
        x: Images (number, channels, height, width); uint8 in 0 ... 255, or float32 in [0, 1].
        y: Class indices (number,), int64, each below ``len(classes)``.
        classes: The classes' names.
        name: What the images are called in messages and reports.

    Raises:
        ValueError: If shapes, types, pixels or labels are not as said.
    """

    x: Tensor
    y: Tensor
    classes: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        if self.x.dtype not in (torch.uint8, torch.float32):
            raise ValueError(f"{self.name}: images must be uint8 or float32, got {self.x.dtype}.")
        _check_images(self.x, self.name)
        check_labels(self.y, len(self.x), self.name)
        if len(self.y) and int(self.y.max()) >= len(self.classes):
            raise ValueError(
                f"{self.name}: labels must be 0 to {len(self.classes) - 1}, as there are"
                f" {len(self.classes)} classes; got a label {int(self.y.max())}."
            )

    def __len__(self) -> int:
        return len(self.y)

    def subset(self, indices: Tensor | Sequence[int]) -> "Images":
        """Give the images at these indices, in this order."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return replace(self, x=self.x[chosen], y=self.y[chosen])

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Give all images as float32 in [0, 1], and the labels."""
        return as_float(self.x), self.y

    def fingerprint(self) -> str:
        """Give the SHA-256 (hex) over shape, type and bytes of images and labels."""
        digest = hashlib.sha256()
        for tensor in (self.x, self.y):
            digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Splits:
    """What a model is trained on, chosen by, and judged on; no image is in two of them."""

    train: Images
    validation: Images
    test: Images


def as_float(x: Tensor) -> Tensor:
    """Give images as float32 in [0, 1]; bytes are divided by 255."""
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def check_batch(x: object, y: object, name: str) -> tuple[Tensor, Tensor]:
    """Check images and labels from anywhere; give them as float32 in [0, 1] and int64.

    Raises:
        ValueError: If the images are not (batch, channels, height, width) in [0, 1], or the labels
            no class indices (batch,); the message names the cure.
    """
    if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
        raise ValueError(
            f"{name}: must give tensors (images, labels), got {type(x).__name__} and"
            f" {type(y).__name__}."
        )
    _check_images(x, name)
    check_labels(y, len(x), name)
    return as_float(x), y.long()


def check_labels(y: Tensor, number: int, name: str) -> None:
    """Check that ``y`` holds ``number`` class indices.

    Raises:
        ValueError: If it does not.
    """
    if y.dtype.is_floating_point or y.dtype.is_complex or y.dtype == torch.bool:
        raise ValueError(f"{name}: labels must be integer class indices, got {y.dtype}.")
    if y.shape != (number,):
        raise ValueError(f"{name}: {number} images need {number} labels, got {tuple(y.shape)}.")
    if number and int(y.min()) < 0:
        raise ValueError(f"{name}: labels must be 0 or more, got a label {int(y.min())}.")


def _check_images(x: Tensor, name: str) -> None:
    if x.ndim != 4:
        raise ValueError(
            f"{name}: images must be (number, channels, height, width), got {tuple(x.shape)}."
        )
    if x.dtype != torch.uint8 and not x.dtype.is_floating_point:
        raise ValueError(f"{name}: images must be uint8 or floating point, got {x.dtype}.")
    if x.dtype == torch.uint8 or not x.numel():
        return
    low, high = (float(bound) for bound in torch.aminmax(x))
    if not (low >= 0 and high <= 1):  # also true of NaN
        raise ValueError(
            f"{name}: pixels must be in [0, 1], got {low:.3g} to {high:.3g}. Divide 0 ... 255 by"
            " 255 or give uint8; a mean and deviation belong into the model's first layer,"
            " models.Normalize(mean, std)."
        )

"""Whether an exported file answers as the network does."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from advprune.structure.parity import TOLERANCE

AGREEMENT = 0.95
"""Share of images on which an int8 file must give the network's class."""


@dataclass(frozen=True)
class Parity:
    """How an exported file's answers compare with the network's.

    Attributes:
        images: Images compared.
        difference: Largest difference of a logit.
        largest: Largest of the network's logits.
        same_top1: Share of the images given the same class.
    """

    images: int
    difference: float
    largest: float
    same_top1: float

    @property
    def relative(self) -> float:
        """Largest difference as a share of the largest logit."""
        return self.difference / max(self.largest, 1e-12)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain JSON values."""
        return asdict(self)


def compare(file: Callable[[Tensor], Tensor], images: Tensor, expected: Tensor) -> Parity:
    """Compare an exported file's answers with the network's, whole batch and first image alone.

    Args:
        file: Images (batch, channels, height, width) to logits.
        images: Real images.
        expected: The network's logits for them, (batch, classes).

    Raises:
        ValueError: If the answers have another shape, or depend on the size of the batch.
    """
    with torch.no_grad():
        found, alone = file(images), file(images[:1])
    if found.shape != expected.shape or alone.shape != expected[:1].shape:
        raise ValueError(
            f"the file answers {tuple(found.shape)} to {len(images)} images and "
            f"{tuple(alone.shape)} to one; the network answers {tuple(expected.shape)}"
        )
    off = torch.cat([found - expected, alone - expected[:1]]).abs().max().item()
    largest = expected.abs().max().item()
    same = (found.argmax(1) == expected.argmax(1)).float().mean().item()
    return Parity(len(images), off, largest, same)


def check(parity: Parity, *, int8: bool) -> None:
    """Refuse a file that is off.

    In float32 logits may differ by 1e-4 of the largest and no image's class; int8 rounds, so that
    there the class is compared, on 95 % of the images.

    Raises:
        ValueError: If it is; says by how much.
    """
    allowed = TOLERANCE[torch.float32]
    if int8 and parity.same_top1 < AGREEMENT:
        raise ValueError(
            f"the int8 file gives the network's class on {parity.same_top1:.2%} of "
            f"{parity.images} images; {AGREEMENT:.0%} are needed: give more calibration images, "
            "or ship float32"
        )
    if not int8 and not (parity.relative <= allowed and parity.same_top1 == 1):
        raise ValueError(
            f"the file's logits differ by {parity.relative:.2e} of the largest ({allowed:.0e} is "
            f"allowed), and {parity.same_top1:.2%} of {parity.images} images get the same class"
        )

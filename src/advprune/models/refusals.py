"""Telling that a model does not take the images it is given, or gives no logits for them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class NoLogitsError(ValueError):
    """The model is not one from a batch of images to a tensor of logits."""


@contextmanager
def taking(name: str, x: Tensor, images: str) -> Iterator[None]:
    """While open, what a model raises at its images is told as their misfit.

    Args:
        name: What the model is called.
        x: The images it is given, (batch, channels, height, width).
        images: What these are called.

    Raises:
        ValueError: In place of the model's own error; memory that ran out stays what it is, and so
            does what is wrong with the model's answer, whatever the images are.
    """
    try:
        yield
    except (torch.OutOfMemoryError, NoLogitsError):
        raise
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{name} takes no images of shape {tuple(x.shape[1:])} (channels, height, width), as"
            f" those of {images} are: {error}"
        ) from error

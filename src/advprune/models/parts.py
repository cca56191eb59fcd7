"""What the models share: the normalisation layer and the checks of their arguments."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from advprune.choices import check_count

Normalization = str | Sequence[Sequence[float]]


class Latent(NamedTuple):
    """A place at which the method's paper records a latent feature.

    A model may name its places in an attribute `latent`; elsewhere features are taken at the gates.

    Attributes:
        name: Of the feature, in tables.
        module: Qualified name of the module whose output it is.
        group: Group whose units it holds.
        gated: Whether the group's gate multiplies it here.
    """

    name: str
    module: str
    group: str
    gated: bool


class Normalize(nn.Module):
    """The affine map ``(x - mean) / std`` for each channel, as the first layer of a model.

    Inside the model it keeps images, perturbations and threats in pixel space [0, 1].

    Args:
        mean: One value a channel.
        std: One positive value a channel.

    Raises:
        ValueError: If the lengths differ, or a value is not finite or not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or not mean:
            raise ValueError(
                f"Normalize takes one mean and one std a channel, got {len(mean)} and {len(std)}."
            )
        if not all(math.isfinite(value) for value in (*mean, *std)) or min(std) <= 0:
            raise ValueError(f"Normalize takes finite means and std > 0, got {mean} and {std}.")
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise images (batch, channels, height, width); the shape stays."""
        return (x - self.mean) / self.std


def first_layer(normalize: Normalization, in_channels: int) -> nn.Module:
    """Give the layer that ``normalize`` asks for: ``"none"`` or ``(mean, std)``.

    Raises:
        ValueError: If it is neither, or not one value a channel.
    """
    if normalize == "none":
        return nn.Identity()
    if isinstance(normalize, str) or len(normalize) != 2:
        raise ValueError(f"normalize must be 'none' or (mean, std), got {normalize!r}.")
    mean, std = normalize
    if len(mean) != in_channels:
        raise ValueError(f"normalize must hold {in_channels} values a channel, got {normalize!r}.")
    return Normalize(mean, std)


def check_counts(**counts: int) -> None:
    """Raise ValueError unless every count is a positive int, and ``classes`` at least 2."""
    for name, count in counts.items():
        check_count(name, count, least=2 if name == "classes" else 1)


def check_widths(widths: Sequence[int], number: int) -> None:
    """Raise ValueError unless there are ``number`` positive widths."""
    if len(widths) != number:
        raise ValueError(f"widths must hold {number} values, got {list(widths)}.")
    check_counts(**{f"widths[{i}]": width for i, width in enumerate(widths)})


def scaled(channels: int, width: float) -> int:
    """Scale a number of channels by the factor ``width``, to at least one.

    Raises:
        ValueError: If ``width`` is not a positive number.
    """
    if not math.isfinite(width) or width <= 0:
        raise ValueError(f"width must be a factor > 0, got {width!r}.")
    return max(1, round(channels * width))

"""A small network for the 8x8 digits: trains in seconds."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.models.parts import check_counts, check_widths
from advprune.models.registry import register


@register("small_cnn")
class SmallCNN(nn.Module):
    """Two padded 3x3 convolutions and two dense layers on small square images.

    conv1 32 - ReLU - conv2 64 - ReLU - pool 2 - flatten - f1 128 - ReLU - f2; 151,306 parameters
    on images of 8x8.

    Args:
        in_channels: Channels of the images.
        classes: Number of classes, at least 2.
        widths: Units of conv1, conv2 and f1.
        image_size: Height and width of the images.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 10,
        widths: Sequence[int] = (32, 64, 128),
        image_size: int = 8,
    ) -> None:
        super().__init__()
        check_counts(in_channels=in_channels, classes=classes)
        check_widths(widths, 3)
        if image_size < 2:
            raise ValueError(f"image_size must be at least 2, got {image_size}.")
        self.conv1 = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.conv2 = nn.Conv2d(widths[0], widths[1], 3, padding=1)
        self.f1 = nn.Linear(widths[1] * (image_size // 2) ** 2, widths[2])
        self.f2 = nn.Linear(widths[2], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, in_channels, size, size) in [0, 1] to logits (batch, classes)."""
        x = functional.relu(self.conv1(x))
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.f1(torch.flatten(x, 1)))
        logits: Tensor = self.f2(x)
        return logits

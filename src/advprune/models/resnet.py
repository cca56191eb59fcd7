"""ResNet-18 for images of 32x32."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.models.parts import Normalization, check_counts, first_layer, scaled
from advprune.models.registry import register

STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))


@register("resnet18")
class ResNet18(nn.Module):
    """ResNet-18 (He et al. 2016, arXiv 1512.03385) with a 3x3 stem and no pooling after it.

    Four stages of two blocks with 64, 128, 256 and 512 channels, then a mean over space and one
    dense layer: 11,173,962 parameters for 10 classes.

    Args:
        classes: Number of classes, at least 2.
        width: Factor on all channels.
        in_channels: Channels of the images.
        normalize: ``"none"``, or ``(mean, std)`` with one value a channel.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        classes: int = 10,
        width: float = 1.0,
        in_channels: int = 3,
        normalize: Normalization = "none",
    ) -> None:
        super().__init__()
        check_counts(classes=classes, in_channels=in_channels)
        channels = scaled(STAGES[0][0], width)
        self.normalize = first_layer(normalize, in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.blocks = _blocks(width)
        self.fc = nn.Linear(scaled(STAGES[-1][0], width), classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, in_channels, 32, 32) in [0, 1] to logits (batch, classes)."""
        x = functional.relu(self.bn1(self.conv1(self.normalize(x))))
        x = functional.adaptive_avg_pool2d(self.blocks(x), 1)
        logits: Tensor = self.fc(torch.flatten(x, 1))
        return logits


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, added to their input or a 1x1 convolution of it."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = _shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w) to (batch, channels, h / stride, w / stride)."""
        residual = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(residual + self.shortcut(x))


def _blocks(width: float) -> nn.Sequential:
    blocks = nn.Sequential()
    in_channels = scaled(STAGES[0][0], width)
    for stage_channels, stride in STAGES:
        channels = scaled(stage_channels, width)
        blocks.append(BasicBlock(in_channels, channels, stride))
        blocks.append(BasicBlock(channels, channels, 1))
        in_channels = channels
    return blocks


def _shortcut(in_channels: int, channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
    )

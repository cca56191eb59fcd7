"""LeNet-5-Caffe: the small network of the MNIST experiments."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.models.parts import Latent, check_counts, check_widths
from advprune.models.registry import register


@register("lenet5_caffe")
class LeNet5Caffe(nn.Module):
    """Two valid 5x5 convolutions and two dense layers on images of 28x28.

    conv1 20 - ReLU - pool 2 - conv2 50 - ReLU - pool 2 - flatten 800 - f1 500 - ReLU - f2: 431,080
    parameters. Neither normalisation nor dropout. ReLU stands before pooling, because there the
    latent features of Madaan et al. 2020 (arXiv 1908.04355) are measured.

    Args:
        in_channels: Channels of the images.
        classes: Number of classes, at least 2.
        widths: Units of conv1, conv2 and f1.

    Raises:
        ValueError: If an argument is out of range.
    """

    latent = (
        Latent("conv1", "relu1", group="conv1", gated=True),
        Latent("conv2", "relu2", group="conv2", gated=True),
        Latent("f1", "relu3", group="f1", gated=False),
    )

    def __init__(
        self, in_channels: int = 1, classes: int = 10, widths: Sequence[int] = (20, 50, 500)
    ) -> None:
        super().__init__()
        check_counts(in_channels=in_channels, classes=classes)
        check_widths(widths, 3)
        self.conv1 = nn.Conv2d(in_channels, widths[0], 5)
        self.conv2 = nn.Conv2d(widths[0], widths[1], 5)
        self.f1 = nn.Linear(widths[1] * 4 * 4, widths[2])
        self.f2 = nn.Linear(widths[2], classes)
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, in_channels, 28, 28) in [0, 1] to logits (batch, classes)."""
        x = functional.max_pool2d(self.relu1(self.conv1(x)), 2)
        x = functional.max_pool2d(self.relu2(self.conv2(x)), 2)
        x = self.relu3(self.f1(torch.flatten(x, 1)))
        logits: Tensor = self.f2(x)
        return logits

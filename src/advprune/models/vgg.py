"""VGG-16 for images of 32x32: the network of the CIFAR experiments."""

import torch
from torch import Tensor, nn

from advprune.models.parts import Latent, Normalization, check_counts, first_layer, scaled
from advprune.models.registry import register

# Each stage ends in a pool; its numbers are (channels, dropout before the next convolution).
STAGES: tuple[tuple[int, tuple[float, ...]], ...] = (
    (64, (0.3,)),
    (128, (0.4,)),
    (256, (0.4, 0.4)),
    (512, (0.4, 0.4)),
    (512, (0.4, 0.4)),
)
HEAD = 512


@register("vgg16")
class VGG16(nn.Module):
    """Thirteen padded 3x3 convolutions with batch norm, and a head of two dense layers.

    After each convolution stand batch norm, ReLU, and then dropout or a 2x2 max-pool, as in the
    code of Madaan et al. 2020 (arXiv 1908.04355): 14,991,946 parameters for 10 classes,
    15,038,116 for 100. Batch norm has momentum 0.01 and eps 1e-3. Weights and biases of
    convolutions and dense layers start Glorot-uniform.

    Args:
        classes: Number of classes, at least 2.
        width: Factor on all channels, the head's too.
        in_channels: Channels of the images.
        normalize: ``"none"``, or ``(mean, std)`` with one value a channel.
        head_dropout: Dropout before each of the head's dense layers; the paper has it in the dense
            network only, so give 0 where gates are trained.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        classes: int = 10,
        width: float = 1.0,
        in_channels: int = 3,
        normalize: Normalization = "none",
        head_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_counts(classes=classes, in_channels=in_channels)
        if not 0 <= head_dropout < 1:
            raise ValueError(f"head_dropout must be in [0, 1), got {head_dropout!r}.")
        self.normalize = first_layer(normalize, in_channels)
        self.features = _features(in_channels, width)
        channels, hidden = scaled(STAGES[-1][0], width), scaled(HEAD, width)
        self.head = nn.Sequential(
            nn.Dropout(head_dropout),
            nn.Linear(channels, hidden),
            nn.BatchNorm1d(hidden, eps=1e-3, momentum=0.01),
            nn.ReLU(),
            nn.Dropout(head_dropout),
            nn.Linear(hidden, classes),
        )
        self.latent = _latent(self.features)
        self.apply(_glorot_uniform)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, in_channels, 32, 32) in [0, 1] to logits (batch, classes)."""
        features = self.features(self.normalize(x))
        logits: Tensor = self.head(torch.flatten(features, 1))
        return logits


def _features(in_channels: int, width: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for stage_channels, dropouts in STAGES:
        channels = scaled(stage_channels, width)
        for dropout in dropouts:
            layers += [*_block(in_channels, channels), nn.Dropout(dropout)]
            in_channels = channels
        layers += [*_block(in_channels, channels), nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


def _latent(features: nn.Sequential) -> tuple[Latent, ...]:
    """The gated ReLU of each block, then the head's first layer before and after batch norm."""
    blocks = [number for number, layer in enumerate(features) if isinstance(layer, nn.Conv2d)]
    return (
        *(Latent(f"features.{n}", f"features.{n + 2}", f"features.{n}", True) for n in blocks),
        Latent("head.1", "head.1", "head.1", False),
        Latent("head.3", "head.3", "head.1", False),
    )


def _block(in_channels: int, channels: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    convolution = nn.Conv2d(in_channels, channels, 3, padding=1)
    return convolution, nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01), nn.ReLU()


def _glorot_uniform(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            # TensorFlow 1 takes n biases for a matrix of n by n: the bound is sqrt(6 / 2n).
            bound = (3 / module.bias.numel()) ** 0.5
            nn.init.uniform_(module.bias, -bound, bound)

"""Sums and concatenations: ResNet, WideResNet, DenseNet, Inception, U-Net."""

import torch
from tests.architectures.entry import architecture
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 4


def conv_bn(before: int, after: int, size: int = 1, stride: int = 1, groups: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
    )


class Pooling(nn.Module):
    """The mean over positions, then a dense layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


class Block(nn.Module):
    """A residual block around `body`, with a projection where shapes change."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


def _basic(before: int, after: int, stride: int = 1) -> nn.Module:
    body = nn.Sequential(
        conv_bn(before, after, 3, stride), nn.ReLU(inplace=True), conv_bn(after, after, 3)
    )
    return Block(body, conv_bn(before, after, 1, stride) if before != after else None)


def bottleneck(before: int, inner: int, after: int, stride: int = 1, groups: int = 1) -> nn.Module:
    body = nn.Sequential(
        conv_bn(before, inner),
        nn.ReLU(),
        conv_bn(inner, inner, 3, stride, groups),
        nn.ReLU(),
        conv_bn(inner, after),
    )
    return Block(body, conv_bn(before, after, 1, stride) if before != after else None)


@architecture(floor=0.95)
def resnet_basic() -> nn.Module:
    stem = conv_bn(3, 6, 3)
    return nn.Sequential(stem, nn.ReLU(), _basic(6, 6), _basic(6, 10, 2), Pooling(10))


@architecture(floor=0.91)
def resnet_bottleneck() -> nn.Module:
    stem = conv_bn(3, 8, 3)
    blocks = bottleneck(8, 4, 12, 2), bottleneck(12, 5, 12)
    return nn.Sequential(stem, nn.ReLU(), *blocks, Pooling(12))


class PreActivation(nn.Module):
    """Norm and activation before each convolution; the first pair is shared with the shortcut."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(before), nn.BatchNorm2d(after)
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.dropout = nn.Dropout(0.1)
        self.shortcut = nn.Conv2d(before, after, 1, stride) if before != after else None

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(x))
        kept = x if self.shortcut is None else self.shortcut(y)
        y = self.dropout(functional.relu(self.bn2(self.conv1(y))))
        out: Tensor = self.conv2(y) + kept
        return out


@architecture(floor=0.95)
def resnet_pre_activation() -> nn.Module:
    blocks = PreActivation(6, 6), PreActivation(6, 10, 2)
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), *blocks, nn.ReLU(), Pooling(10))


@architecture(floor=0.99)
def wide_resnet() -> nn.Module:
    blocks = [PreActivation(4, 16), PreActivation(16, 16), PreActivation(16, 32, 2)]
    last = nn.BatchNorm2d(32), nn.ReLU(), Pooling(32)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), *blocks, *last)


@architecture(floor=0.92)
class ResNetZeroPadded(nn.Module):
    """The parameter-free shortcut of ResNet-20: strided positions, new channels padded by zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv1 = conv_bn(3, 6, 3), conv_bn(6, 10, 3, 2)
        self.conv2, self.head = conv_bn(10, 10, 3), Pooling(10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x))
        shortcut = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))) + shortcut)
        logits: Tensor = self.head(x)
        return logits


class DenseLayer(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, 8, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(8), nn.Conv2d(8, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        new = self.conv1(functional.relu(self.bn1(x)))
        new = self.conv2(functional.relu(self.bn2(new)))
        return torch.cat([x, new], 1)


@architecture(floor=0.94)
def densenet() -> nn.Module:
    transition = nn.BatchNorm2d(14), nn.ReLU(), nn.Conv2d(14, 7, 1), nn.AvgPool2d(2)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        DenseLayer(6, 4),
        DenseLayer(10, 4),
        *transition,
        DenseLayer(7, 4),
        nn.BatchNorm2d(11),
        nn.ReLU(),
        Pooling(11),
    )


class Inception(nn.Module):
    def __init__(self, before: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                conv_bn(before, 4),
                nn.Sequential(conv_bn(before, 3), nn.ReLU(), conv_bn(3, 5, 3)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_bn(before, 2)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(torch.cat([branch(x) for branch in self.branches], 1))


@architecture(floor=0.89)
def inception() -> nn.Module:
    stem = nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()
    return nn.Sequential(*stem, Inception(6), nn.MaxPool2d(2), Inception(11), Pooling(11))


@architecture(floor=0.95)
class UNet(nn.Module):
    """Down, up by a transposed convolution, the skip concatenated; classes from the whole image."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = conv_bn(3, 6, 3), conv_bn(6, 8, 3)
        self.up = nn.ConvTranspose2d(8, 5, 2, stride=2)
        self.merge, self.head = conv_bn(11, 7, 3), Pooling(7)

    def forward(self, x: Tensor) -> Tensor:
        first = functional.relu(self.down1(x))
        second = functional.relu(self.down2(functional.max_pool2d(first, 2)))
        up = torch.cat([first, functional.relu(self.up(second))], 1)
        logits: Tensor = self.head(functional.relu(self.merge(up)))
        return logits


@architecture(floor=0.9)
class TransposedConv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())
        self.decode = nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1)
        self.grouped = nn.ConvTranspose2d(6, 6, 3, padding=1, groups=2)
        self.norm, self.head = nn.BatchNorm2d(6), Pooling(6)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.decode(self.encode(x))))
        logits: Tensor = self.head(functional.relu(self.grouped(x)))
        return logits

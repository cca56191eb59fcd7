"""Depthwise and grouped convolutions, shuffles, gates on channels."""

import torch
from tests.architectures.entry import architecture
from tests.architectures.residual import Block, Pooling, bottleneck, conv_bn
from torch import Tensor, nn
from torch.nn import functional


class SqueezeExcitation(nn.Module):
    def __init__(self, channels: int, inner: int, gate: nn.Module) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        scale = functional.relu(self.reduce(x.mean((2, 3), keepdim=True)))
        out: Tensor = x * self.gate(self.expand(scale))
        return out


class DenseExcitation(nn.Module):
    """Squeeze and excitation by dense layers, with a view back, as often written."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, 3), nn.ReLU(), nn.Linear(3, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, _, _ = x.size()
        scale = functional.adaptive_avg_pool2d(x, 1).view(batch, channels)
        out: Tensor = x * self.fc(scale).view(batch, channels, 1, 1).expand_as(x)
        return out


class Inverted(nn.Module):
    """Expand, depthwise, excite, project; added to its input where shapes allow."""

    def __init__(self, before: int, inner: int, after: int, act: nn.Module, excite: bool) -> None:
        super().__init__()
        self.add = before == after
        excitation = SqueezeExcitation(inner, 3, nn.Sigmoid()) if excite else nn.Identity()
        self.body = nn.Sequential(
            conv_bn(before, inner),
            act,
            conv_bn(inner, inner, 3, 1 if self.add else 2, inner),
            act,
            excitation,
            conv_bn(inner, after),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return x + out if self.add else out


def _inverted(act: nn.Module, excite: bool) -> nn.Module:
    blocks = Inverted(6, 12, 6, act, excite), Inverted(6, 12, 8, act, excite)
    last = conv_bn(8, 16), act, Pooling(16)
    return nn.Sequential(conv_bn(3, 6, 3, 2), act, *blocks, *last)


@architecture(floor=0.88)
def depthwise_separable() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 8, 3),
        nn.ReLU(),
        conv_bn(8, 8, 3, 2, 8),
        nn.ReLU(),
        conv_bn(8, 12),
        nn.ReLU(),
        Pooling(12),
    )


@architecture(floor=0.87)
def depthwise_multiplied() -> nn.Module:
    """Each channel feeds two of the depthwise convolution."""
    depthwise = nn.Conv2d(6, 12, 3, padding=1, groups=6)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), depthwise, nn.ReLU(), nn.Conv2d(12, 8, 1), Pooling(8)
    )


@architecture(floor=0.92)
def mobilenet_v2() -> nn.Module:
    return _inverted(nn.ReLU6(), excite=False)


@architecture(floor=0.92)
def mobilenet_v3() -> nn.Module:
    return _inverted(nn.Hardswish(), excite=True)


@architecture(floor=0.92)
def efficientnet() -> nn.Module:
    return _inverted(nn.SiLU(), excite=True)


@architecture(floor=0.76)
def grouped_conv() -> nn.Module:
    grouped = nn.Conv2d(12, 8, 3, padding=1, groups=4)
    return nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.ReLU(), grouped, nn.ReLU(), nn.Conv2d(8, 6, 1), Pooling(6)
    )


@architecture(floor=0.93)
def regnet() -> nn.Module:
    blocks = bottleneck(8, 12, 12, 2, groups=3), bottleneck(12, 12, 12, groups=3)
    return nn.Sequential(conv_bn(3, 8, 3), nn.ReLU(), *blocks, Pooling(12))


class ShuffleUnit(nn.Module):
    """ShuffleNetV2: half the channels pass, half are convolved, then both are interleaved."""

    def __init__(self, half: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(half, half), nn.ReLU(), conv_bn(half, half, 3, 1, half), conv_bn(half, half)
        )

    def forward(self, x: Tensor) -> Tensor:
        kept, other = x.chunk(2, dim=1)
        x = torch.cat([kept, functional.relu(self.body(other))], 1)
        batch, channels, height, width = x.shape
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return x.view(batch, channels, height, width)


@architecture(floor=0.74)
def shufflenet() -> nn.Module:
    units = ShuffleUnit(4), ShuffleUnit(4)
    return nn.Sequential(
        conv_bn(3, 8, 3), nn.ReLU(), *units, conv_bn(8, 10), nn.ReLU(), Pooling(10)
    )


@architecture(floor=0.63)
def channel_shuffle_module() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.ChannelShuffle(2),
        nn.Conv2d(8, 8, 3, groups=2),
        nn.ReLU(),
        Pooling(8),
    )


@architecture(floor=0.95)
def squeeze_excitation() -> nn.Module:
    body = nn.Sequential(conv_bn(6, 6, 3), DenseExcitation(6))
    excited = SqueezeExcitation(8, 3, nn.Hardsigmoid())
    return nn.Sequential(
        conv_bn(3, 6, 3), nn.ReLU(), Block(body), conv_bn(6, 8, 3), excited, Pooling(8)
    )


class ConvNeXtBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.up, self.down = nn.Linear(channels, 12), nn.Linear(12, channels)
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(functional.gelu(self.up(y)))
        out: Tensor = x + y.permute(0, 3, 1, 2)
        return out


@architecture(floor=0.24)
def convnext() -> nn.Module:
    stem = nn.Conv2d(3, 6, 2, stride=2)
    return nn.Sequential(
        stem, ConvNeXtBlock(6), nn.Conv2d(6, 8, 2, 2), ConvNeXtBlock(8), Pooling(8)
    )


class SpatialAttention(nn.Module):
    """CBAM's second half: a map from mean and maximum over channels multiplies all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.conv(both))


@architecture(floor=0.61)
def cbam() -> nn.Module:
    attention = DenseExcitation(6), SpatialAttention()
    return nn.Sequential(conv_bn(3, 6, 3), nn.ReLU(), *attention, conv_bn(6, 8, 3), Pooling(8))

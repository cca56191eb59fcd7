"""Chains: flattening, norms, activations and pooling of every kind."""

import torch
from tests.architectures.entry import architecture
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 4


def _head(features: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, 10), nn.ReLU(), nn.Linear(10, CLASSES))


class Convs(nn.Module):
    """Two convolutions with `between` after the first, pooling to 4x4, `flat`, two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 6, 3, padding=1)
        self.head = _head(96)

    def between(self, x: Tensor) -> Tensor:
        return functional.relu(x)

    def flat(self, x: Tensor) -> Tensor:
        return torch.flatten(x, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv2(self.between(self.conv1(x))))
        logits: Tensor = self.head(self.flat(functional.max_pool2d(x, 2)))
        return logits


@architecture(floor=0.91)
def plain_conv() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 6, 3, stride=2, padding=1, bias=False),
        nn.ReLU(inplace=True),
        nn.Dropout2d(0.1),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 10),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(10, CLASSES),
    )


@architecture(floor=0.94)
class FlattenHardView(Convs):
    def flat(self, x: Tensor) -> Tensor:
        return x.view(-1, 96)


@architecture(floor=0.94)
class FlattenHardReshape(Convs):
    def flat(self, x: Tensor) -> Tensor:
        return x.reshape(-1, 6 * 4 * 4)


@architecture(floor=0.94)
class FlattenComputed(Convs):
    def flat(self, x: Tensor) -> Tensor:
        batch, channels, _, _ = x.shape
        return x.view(batch, channels, -1).reshape(x.size(0), -1)


@architecture(floor=0.94)
class FlattenChannelsLast(Convs):
    """Flattens with the channel as the fastest index."""

    def flat(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Normed(Convs):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def between(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(x))


@architecture(floor=0.94)
def batch_norm() -> nn.Module:
    return Normed(nn.BatchNorm2d(8))


@architecture(floor=0.94)
def instance_norm() -> nn.Module:
    return Normed(nn.InstanceNorm2d(8))


@architecture(floor=0.94)
def instance_norm_with_statistics() -> nn.Module:
    return Normed(nn.InstanceNorm2d(8, affine=True, track_running_stats=True))


@architecture(floor=0.89)
def group_norm() -> nn.Module:
    return Normed(nn.GroupNorm(4, 8))


@architecture(floor=0.94)
def group_norm_of_single_channels() -> nn.Module:
    return Normed(nn.GroupNorm(8, 8))


@architecture(floor=0.56)
def layer_norm_of_image() -> nn.Module:
    return Normed(nn.LayerNorm([8, 8, 8]))


@architecture(floor=0.56)
class LayerNormChannelsLast(Convs):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)

    def between(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


@architecture(floor=0.94)
def prelu_of_channels() -> nn.Module:
    return Normed(nn.PReLU(8))


@architecture(floor=0.94)
def activations() -> nn.Module:
    return Normed(
        nn.Sequential(
            nn.GELU(),
            nn.SiLU(),
            nn.Hardswish(),
            nn.LeakyReLU(0.1),
            nn.ELU(),
            nn.Softplus(),
            nn.Mish(),
            nn.ReLU6(),
            nn.Hardsigmoid(),
            nn.Tanh(),
            nn.Sigmoid(),
        )
    )


@architecture(floor=0.56)
class SoftmaxOverChannels(Convs):
    """Ties all channels: nothing before it can go one by one."""

    def between(self, x: Tensor) -> Tensor:
        return x.softmax(1)


@architecture(floor=0.56)
class CenteredOverChannels(Convs):
    def between(self, x: Tensor) -> Tensor:
        return functional.relu(x - x.mean(1, keepdim=True))


class Pooled(nn.Module):
    """A convolution, a pooling, a convolution, a global pooling, a dense layer."""

    def __init__(self, pool: nn.Module | None = None, whole: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.pool, self.whole = pool or nn.MaxPool2d(2), whole or nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(12, CLASSES)

    def last(self, x: Tensor) -> Tensor:
        return torch.flatten(self.whole(x), 1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv2(self.pool(functional.relu(self.conv1(x)))))
        logits: Tensor = self.fc(self.last(x))
        return logits


@architecture(floor=0.93)
def pool_max_and_adaptive_max() -> nn.Module:
    return Pooled(nn.MaxPool2d(3, 2, padding=1), nn.AdaptiveMaxPool2d(1))


@architecture(floor=0.93)
def pool_average_and_adaptive_average() -> nn.Module:
    return Pooled(nn.AvgPool2d(3, 2, padding=1, count_include_pad=False))


@architecture(floor=0.93)
def pool_adaptive_to_odd_size() -> nn.Module:
    return Pooled(nn.AdaptiveAvgPool2d((5, 3)), nn.AdaptiveMaxPool2d(1))


@architecture(floor=0.93)
def pool_lp() -> nn.Module:
    return Pooled(nn.LPPool2d(2, 2))


@architecture(floor=0.93)
def pool_padded_and_enlarged() -> nn.Module:
    return Pooled(
        nn.Sequential(
            nn.ZeroPad2d(1),
            nn.ReflectionPad2d(1),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Upsample(size=(9, 9), mode="bilinear"),
            nn.MaxPool2d(2),
        )
    )


@architecture(floor=0.93)
class PoolSumAndLargest(Pooled):
    def last(self, x: Tensor) -> Tensor:
        return x.flatten(2).max(2).values + x.amax((2, 3)) + x.sum((-1, -2)) / 16


@architecture(floor=0.93)
class PoolBothConcatenated(Pooled):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(24, CLASSES)

    def last(self, x: Tensor) -> Tensor:
        mean, largest = functional.adaptive_avg_pool2d(x, 1), functional.adaptive_max_pool2d(x, 1)
        return torch.cat([mean, largest], 1).flatten(1)

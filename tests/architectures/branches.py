"""Branches, shared modules, tied weights, and other things that users write."""

import torch
from tests.architectures.entry import architecture
from tests.architectures.residual import Pooling, conv_bn
from torch import Tensor, nn
from torch.nn import functional

from advprune.models import Logits


@architecture((4, 8, 8), floor=0.94)
class TwoInputs(nn.Module):
    """Colour and depth, the image's first three channels and its last, through own stems."""

    def __init__(self) -> None:
        super().__init__()
        self.colour, self.depth = conv_bn(3, 6, 3), conv_bn(1, 4, 3)
        self.merge, self.head = conv_bn(10, 8, 3), Pooling(8)

    def forward(self, x: Tensor) -> Tensor:
        colour, depth = self.colour(x[:, :3]), self.depth(x[:, 3:])
        x = functional.relu(self.merge(functional.relu(torch.cat([colour, depth], 1))))
        logits: Tensor = self.head(x)
        return logits


@architecture(floor=0.83)
class TwoScales(nn.Module):
    """The image and its half-sized copy, added where they meet."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = conv_bn(3, 6, 3, 2), conv_bn(3, 6, 3)
        self.head = Pooling(6)

    def forward(self, x: Tensor) -> Tensor:
        small = functional.interpolate(x, scale_factor=0.5, mode="bilinear")
        logits: Tensor = self.head(functional.relu(self.fine(x) + self.coarse(small)))
        return logits


@architecture(floor=0.93)
class TwoHeads(nn.Module):
    """An early exit and a late one, averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.early, self.late = conv_bn(3, 6, 3), conv_bn(6, 8, 3)
        self.exit1, self.exit2 = Pooling(6), Pooling(8)

    def forward(self, x: Tensor) -> Tensor:
        early = functional.relu(self.early(x))
        logits: Tensor = (self.exit1(early) + self.exit2(functional.relu(self.late(early)))) / 2
        return logits


@architecture(floor=0.93)
class TwoHeadsConcatenated(nn.Module):
    """Logits of the coarse classes from an early value, those of the fine ones from a late one."""

    def __init__(self) -> None:
        super().__init__()
        self.early, self.late = conv_bn(3, 6, 3), conv_bn(6, 8, 3)
        self.coarse, self.fine = Pooling(6), Pooling(8)

    def forward(self, x: Tensor) -> Tensor:
        early = functional.relu(self.early(x))
        late = functional.relu(self.late(early))
        return torch.cat([self.coarse(early), self.fine(late)], 1)


class EarlyAndLate(nn.Module):
    """Two inputs and two outputs, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.colour, self.depth = conv_bn(3, 6, 3), conv_bn(1, 6, 3)
        self.merge, self.exit1, self.exit2 = conv_bn(6, 8, 3), Pooling(6), Pooling(8)

    def forward(self, colour: Tensor, depth: Tensor) -> dict[str, Tensor]:
        early = functional.relu(self.colour(colour) * torch.sigmoid(self.depth(depth)))
        late = functional.relu(self.merge(early))
        return {"early": self.exit1(early), "late": self.exit2(late)}


@architecture((4, 8, 8), floor=0.93)
def two_inputs_and_outputs() -> nn.Module:
    return Logits(EarlyAndLate(), output="late", channels=(3, 1))


@architecture(floor=0.93)
class HeadOnlyInTraining(nn.Module):
    """An auxiliary head that the evaluated network does not call."""

    def __init__(self) -> None:
        super().__init__()
        self.early, self.late = conv_bn(3, 6, 3), conv_bn(6, 8, 3)
        self.auxiliary, self.head = Pooling(6), Pooling(8)

    def forward(self, x: Tensor) -> Tensor:
        early = functional.relu(self.early(x))
        logits: Tensor = self.head(functional.relu(self.late(early)))
        return logits + self.auxiliary(early) if self.training else logits


@architecture(floor=0.95)
class SharedModule(nn.Module):
    """One convolution called twice in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.shared = conv_bn(3, 6, 3), nn.Conv2d(6, 6, 3, padding=1)
        self.last, self.head = conv_bn(6, 8, 3), Pooling(8)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x))
        for _ in range(2):
            x = functional.relu(self.shared(x))
        logits: Tensor = self.head(functional.relu(self.last(x)))
        return logits


@architecture(floor=0.93)
class SharedBetweenBranches(nn.Module):
    """One convolution reads two different values."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = conv_bn(3, 6, 3), conv_bn(3, 6, 1)
        self.shared, self.head = nn.Conv2d(6, 5, 3, padding=1), Pooling(10)

    def forward(self, x: Tensor) -> Tensor:
        left = self.shared(functional.relu(self.left(x)))
        right = self.shared(torch.sigmoid(self.right(x)))
        logits: Tensor = self.head(functional.relu(torch.cat([left, right], 1)))
        return logits


@architecture(floor=0.94)
class TiedWeights(nn.Module):
    """Two convolutions with one weight and biases of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = conv_bn(3, 6, 3), Pooling(6)
        self.conv1, self.conv2 = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.conv2.weight = self.conv1.weight

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv1(functional.relu(self.stem(x))))
        logits: Tensor = self.head(functional.relu(self.conv2(x)))
        return logits


@architecture(floor=0.93)
class FunctionalWeights(nn.Module):
    """Reads its layers' weights by functions, so that the layers are never called."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3)
        self.head = Pooling(8)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(functional.conv2d(x, self.conv1.weight, self.conv1.bias))
        x = functional.relu(functional.conv2d(x, self.conv2.weight, self.conv2.bias, padding=1))
        logits: Tensor = self.head(x)
        return logits


@architecture(floor=0.91)
class OwnParameters(nn.Module):
    """Scales and shifts channels by parameters of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3)
        self.scale = nn.Parameter(torch.ones(1, 6, 1, 1))
        self.shift = nn.Parameter(torch.zeros(6, 1, 1))
        self.head = Pooling(8)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv1(x) * self.scale + self.shift)
        logits: Tensor = self.head(functional.relu(self.conv2(x)))
        return logits


@architecture(floor=0.88)
class GatedLinearUnit(nn.Module):
    """Half of a convolution's channels multiply the other half."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 12, 3), nn.Conv2d(6, 8, 3)
        self.head = Pooling(8)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.glu(self.conv1(x), 1)
        logits: Tensor = self.head(functional.relu(self.conv2(x)))
        return logits


@architecture(floor=0.88)
class Maxout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 12, 3), nn.Conv2d(6, 8, 3)
        self.head = Pooling(8)

    def forward(self, x: Tensor) -> Tensor:
        one, two = torch.split(self.conv1(x), 6, dim=1)
        logits: Tensor = self.head(functional.relu(self.conv2(torch.maximum(one, two))))
        return logits


@architecture(floor=0.83)
class PixelShuffled(nn.Module):
    """Four channels become four positions of one, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
        self.conv3, self.head = nn.Conv2d(16, 8, 1), Pooling(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(functional.relu(functional.pixel_shuffle(self.conv1(x), 2)))
        x = self.conv3(functional.pixel_unshuffle(functional.relu(x), 2))
        logits: Tensor = self.head(functional.relu(x))
        return logits


@architecture(floor=0.9)
class RowsThroughConv1d(nn.Module):
    """Positions as a sequence, for one-dimensional convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.along = nn.Conv1d(6, 8, 3)
        self.norm, self.fc = nn.BatchNorm1d(8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.along(functional.relu(self.conv(x)).flatten(2))))
        logits: Tensor = self.fc(x.mean(-1))
        return logits


@architecture(floor=0.83)
class RowsThroughLSTM(nn.Module):
    """Rows as a sequence for a recurrent layer, whose units read each other and stay."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 5, 3)
        self.rows, self.fc = nn.LSTM(5, 8, batch_first=True), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        logits: Tensor = self.fc(self.rows(x.mean(3).transpose(1, 2))[0][:, -1])
        return logits


@architecture(floor=0.91)
class ComputedWeight(nn.Module):
    """A weight that is computed at every forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 6, 3))
        self.conv2, self.head = nn.Conv2d(6, 8, 3), Pooling(8)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        logits: Tensor = self.head(x)
        return logits

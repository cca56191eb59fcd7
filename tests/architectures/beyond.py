"""What is refused, and the words that say why: each a plain network but for one thing."""

import torch
from tests.architectures.entry import architecture
from torch import Tensor, nn
from torch.nn import functional


class Between(nn.Module):
    """Two convolutions and a classifier, with something before each that reads channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3)
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.between(self.conv1(x)))
        x = functional.relu(self.between(self.conv2(x)))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits

    def between(self, x: Tensor) -> Tensor:
        raise NotImplementedError


@architecture(refused="conv1: cannot prune through operator 'aten._fft_c2c.*beyond.py.* no rule")
class SpectrumOfMaps(Between):
    def between(self, x: Tensor) -> Tensor:
        waves: Tensor = torch.fft.fft2(x).real
        return waves


@architecture(refused="conv1: sort at .*beyond.py.* mixes its outputs")
class SortedOverChannels(Between):
    def between(self, x: Tensor) -> Tensor:
        values, _ = x.sort(1)
        return values


@architecture(refused="conv1: cumsum at .*beyond.py.* mixes its outputs")
class SummedOverChannels(Between):
    def between(self, x: Tensor) -> Tensor:
        return x.cumsum(1)


@architecture(refused=r"beyond.py.* if x.max\(\) > 9:.* depends on the images' values")
class FlowByValues(Between):
    def between(self, x: Tensor) -> Tensor:
        if x.max() > 9:
            x = x / x.max()
        return x


@architecture(refused="nonzero.*beyond.py.* the size of what it gives depends on the images")
class SizeByValues(Between):
    """Would move the maps by how many values are large, of which there are none."""

    def between(self, x: Tensor) -> Tensor:
        return x + (x > 99).nonzero().float().sum()


@architecture(refused=r"does not run on a batch of 3.*beyond.py.* x.view\(32, ")
class BatchOf32(Between):
    def between(self, x: Tensor) -> Tensor:
        return x.view(32, x.shape[1], x.shape[2], x.shape[3])


@architecture(refused="mixes the examples of a batch")
class CenteredInBatch(Between):
    def between(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


@architecture(refused="mixes the examples of a batch")
class NormalisedInBatch(Between):
    """Batch norms without running statistics take those of the batch, in eval mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleDict(
            {str(n): nn.BatchNorm2d(n, track_running_stats=False) for n in (6, 8)}
        )

    def between(self, x: Tensor) -> Tensor:
        normalised: Tensor = self.norms[str(x.shape[1])](x)
        return normalised


@architecture(refused="answers the same images otherwise a second time")
class NoisyAlways(Between):
    def between(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


@architecture(refused="answers with dict\\(coarse, fine\\), not one tensor")
class TwoAnswers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.coarse, self.fine = nn.Conv2d(3, 6, 3), nn.Linear(6, 2), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = functional.relu(self.conv(x)).mean((2, 3))
        return {"coarse": self.coarse(x), "fine": self.fine(x)}

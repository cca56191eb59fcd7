"""Clean and PGD accuracy on the validation images, which choose the best checkpoint."""

from dataclasses import dataclass

import torch
from torch import nn

from advprune.attacks import PGD
from advprune.data import Images, batches
from advprune.models.modes import evaluating
from advprune.threat import ThreatModel


@dataclass(frozen=True)
class Accuracy:
    """Shares of the validation images that are classified right.

    Attributes:
        clean: As they are.
        robust: Under PGD.
    """

    clean: float
    robust: float


def measure(
    network: nn.Module,
    images: Images,
    threat: ThreatModel,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    device: torch.device,
) -> Accuracy:
    """Attacks the network on all images, at the threat's full eps.

    Args:
        network: Plain, as it would ship now.
        images: Validation images.
        threat: With full eps.
        steps: Of PGD, one random start.
        batch_size: Images a batch.
        seed: Of the random starts, which come from a generator of their own: nothing is drawn
            from training's random state.
        device: Where the network is.
    """
    attack = PGD(threat, steps=steps)
    generator = torch.Generator().manual_seed(seed)
    clean = robust = 0
    for batch in batches(images, batch_size):
        x, y = (part.to(device) for part in batch)
        with evaluating(network), torch.no_grad():
            clean += int((network(x).argmax(1) == y).sum())
        robust += int((~attack.run(network, x, y, generator=generator).fooled).sum())
    return Accuracy(clean / len(images), robust / len(images))

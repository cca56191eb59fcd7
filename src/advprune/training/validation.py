"""Clean, PGD and certified accuracy on the validation images, which choose the best checkpoint."""

from dataclasses import dataclass

import torch
from torch import nn

from advprune.attacks import PGD
from advprune.bounds import Region, is_certified, margin_bounds
from advprune.bounds import network as bounded
from advprune.data import Images, batches
from advprune.models.logits import logits_of
from advprune.models.modes import evaluating
from advprune.threat import ThreatModel


@dataclass(frozen=True)
class Accuracy:
    """Shares of the validation images that are classified right.

    Attributes:
        clean: As they are.
        robust: Under PGD.
        certified: By a bound, whatever the attack; None where no bound was asked for.
    """

    clean: float
    robust: float
    certified: float | None = None

    @property
    def score(self) -> float:
        """The share that chooses the best checkpoint: the certified one where there is one."""
        return self.robust if self.certified is None else self.certified

    def shares(self) -> dict[str, float]:
        """The shares that were measured, by name."""
        measured = {"clean": self.clean, "robust": self.robust, "certified": self.certified}
        return {name: share for name, share in measured.items() if share is not None}


def measure(
    network: nn.Module,
    images: Images,
    threat: ThreatModel,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    device: torch.device,
    bound: str | None = None,
) -> Accuracy:
    """Attacks the network on all images, at the threat's full eps, and bounds it on request.

    Args:
        network: Plain, as it would ship now.
        images: Validation images.
        threat: With full eps.
        steps: Of PGD, one random start.
        batch_size: Images a batch.
        seed: Of the random starts, which come from a generator of their own: nothing is drawn
            from training's random state.
        device: Where the network is.
        bound: Name in ``advprune.bounds.BOUNDS``; None bounds nothing.
    """
    attack = PGD(threat, steps=steps)
    generator = torch.Generator().manual_seed(seed)
    clean = robust = certified = 0
    with evaluating(network), torch.no_grad():
        first = images.subset([0]).tensors()[0].to(device)
        made = None if bound is None else bounded(network, first)
    for batch in batches(images, batch_size):
        x, y = (part.to(device) for part in batch)
        with evaluating(network), torch.no_grad():
            logits = logits_of(network, x)
            clean += int((logits.argmax(1) == y).sum())
            if made is not None and bound is not None:
                region, classes = Region(x, threat), logits.shape[1]
                margins = margin_bounds(made, region, y, classes, bound)
                certified += int(is_certified(margins, y).sum())
        robust += int((~attack.run(network, x, y, generator=generator).fooled).sum())
    count = len(images)
    return Accuracy(clean / count, robust / count, None if bound is None else certified / count)

"""An attack on what a network computes inside, whatever it then answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from advprune.attacks.base import Found
from advprune.attacks.losses import Loss
from advprune.attacks.pgd import PGD
from advprune.attacks.victim import Victim
from advprune.threat import ThreatModel

Distorted = Callable[[Any, Tensor, Tensor], Tensor]
"""(model, x_adv, x) → how far x_adv moves something from where x puts it, (batch,), with
gradient in x_adv."""


class Distortion(PGD):
    """PGD that maximises how far an image moves what a network computes inside.

    With `vulnerability.distortion` it finds the perturbation of the largest latent vulnerability:
    what a network claims to suppress is measured under the attack that is made against it, not
    under one that seeks wrong answers. The iterate of the largest distortion is kept.

    Source: the measure is that of Madaan, Shin & Hwang (2020), equation 1; attacks on latent
    features are Sabour et al., "Adversarial manipulation of deep representations" (2016).

    Args:
        threat: what the attacker may do.
        distortion: what is maximised; called in evaluation mode with the model, attacked images
            and their originals, gives one number an image.
        steps: see `PGD`.
        step_size: see `PGD`.
        restarts: see `PGD`. The start is random: at the image itself there is no distortion, and
            no direction.
    """

    def __init__(
        self,
        threat: ThreatModel,
        distortion: Distorted,
        *,
        steps: int = 40,
        step_size: float | str | None = None,
        restarts: int = 1,
    ) -> None:
        super().__init__(
            threat, steps=steps, step_size=step_size, restarts=restarts, stop_when_fooled=False
        )
        self.distortion = distortion

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        name = getattr(self.distortion, "__name__", type(self.distortion).__name__)
        return super().describe() | {"loss": name}

    def _search(self, victim: Victim, x: Tensor, generator: torch.Generator | None) -> Found:
        with victim.seen_as(_Moved, originals=x, distortion=self.distortion) as moved:
            return super()._search(moved, x, generator)._replace(fooled=None)


@dataclass(kw_only=True)
class _Moved(Victim):
    """A victim whose losses are distortions; nothing fools it, so that they alone decide."""

    originals: Tensor
    distortion: Distorted

    def measure(self, x: Tensor, rows: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            distances = self._distances(x, rows)
        return distances, torch.zeros_like(distances, dtype=torch.bool)

    def gradient(
        self,
        x: Tensor,
        rows: Tensor | slice = slice(None),
        loss: Loss | None = None,  # noqa: ARG002 - there is but the distortion
    ) -> tuple[Tensor, Tensor, Tensor]:
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            distances = self._distances(x, rows)
            (gradient,) = torch.autograd.grad(distances.sum(), x)
        self.backward_passes += len(x)
        return gradient, distances.detach(), torch.zeros_like(distances, dtype=torch.bool)

    def _distances(self, x: Tensor, rows: Tensor | slice) -> Tensor:
        self.forward_passes += 2 * len(x)
        distances = self.distortion(self.model, x, self.originals[rows])
        if distances.shape != x.shape[:1]:
            raise ValueError(
                f"the distortion gives {tuple(distances.shape)}; allowed is one number an image, "
                f"({len(x)},)"
            )
        return distances

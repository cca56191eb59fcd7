"""Expectation over transformation: attacks on models, or through transforms, that are random."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from advprune.attacks.base import Attack, Found
from advprune.attacks.losses import Loss
from advprune.attacks.victim import Victim
from advprune.choices import check_count

Transform = Callable[[Tensor, torch.Generator], Tensor]
"""Images and a source of noise → images of any size, with gradient: a random transform."""


class EOT(Attack):
    """Another attack, with its gradients and losses averaged over random draws.

    ∇ E loss(model(t(x))) ≈ 1/n Σ ∇ loss(model(tᵢ(x))), over the model's own randomness and over
    transforms t of the image. An image counts as fooling where most of the draws are wrong. What
    the model draws from torch's global random state is seeded meanwhile, and that state put back.

    Source: Athalye, Engstrom, Ilyas & Kwok, "Synthesizing robust adversarial examples" (2018),
    section 2; averaged gradients as in Athalye, Carlini & Wagner (2018), section 4.2.

    Args:
        attack: what is done with the averages; any that goes by losses and their gradients.
        samples: draws a step, n.
        transform: transform of the images, drawn anew each time; None for none.

    Raises:
        ValueError: when `samples` is no whole number from 1.
    """

    def __init__(
        self, attack: Attack, *, samples: int = 20, transform: Transform | None = None
    ) -> None:
        super().__init__(attack.threat, loss=attack.loss, precision=attack.precision)
        check_count("samples", samples)
        self.attack, self.samples, self.transform = attack, samples, transform

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        name = getattr(self.transform, "__name__", type(self.transform).__name__)
        return super().describe() | {
            "samples": self.samples,
            "transform": None if self.transform is None else name,
            "attack": self.attack.describe(),
        }

    def _search(self, victim: Victim, x: Tensor, generator: torch.Generator | None) -> Found:
        generator = generator or torch.Generator().manual_seed(0)
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        average = victim.seen_as(
            _Average,
            samples=self.samples,
            transform=self.transform,
            generator=torch.Generator().manual_seed(seed),
        )
        with torch.random.fork_rng(), average as mean:
            torch.manual_seed(seed)
            return self.attack._search(mean, x, generator)  # noqa: SLF001 - a base class's own


@dataclass(kw_only=True)
class _Average(Victim):
    """A victim whose every figure is the mean over draws, and every verdict the majority's."""

    samples: int
    transform: Transform | None
    generator: torch.Generator

    def logits(self, x: Tensor) -> Tensor:
        return torch.stack([super(_Average, self).logits(x) for _ in self._draws()]).mean(0)

    def fooled(self, x: Tensor, rows: Tensor | slice = slice(None)) -> Tensor:
        return self.measure(x, rows)[1]

    def measure(self, x: Tensor, rows: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        drawn = [self._one(x, rows) for _ in self._draws()]
        losses, fooled = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        return losses.mean(0), _most(fooled)

    def gradient(
        self, x: Tensor, rows: Tensor | slice = slice(None), loss: Loss | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        drawn = [super(_Average, self).gradient(x, rows, loss) for _ in self._draws()]
        gradients, losses, fooled = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        return gradients.mean(0), losses.mean(0), _most(fooled)

    def _one(self, x: Tensor, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        logits = super().logits(x)
        return self.loss(logits, self.labels[rows]), self._fooled(logits, rows)

    def _draws(self) -> range:
        return range(self.samples)

    def _logits(self, x: Tensor) -> Tensor:
        return super()._logits(x if self.transform is None else self.transform(x, self.generator))


def _most(fooled: Tensor) -> Tensor:
    return fooled.float().mean(0) > 0.5

"""Substitute models, learned from a model's answers alone."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.attacks.base import Attack, Found
from advprune.attacks.pgd import PGD
from advprune.attacks.victim import Victim
from advprune.choices import check_count
from advprune.models.modes import evaluating
from advprune.threat import ThreatModel, read_length

Build = Callable[[int, int], nn.Module]
"""(channels, classes) → an untrained classifier."""


def small_network(channels: int, classes: int) -> nn.Module:
    """Two convolutions and two dense layers for images of any size from 2x2."""
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(4),
        nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, classes),
    )  # fmt: skip


class Substitute(Attack):
    """A white-box attack on a network that was taught by the model's answers.

    The attacker owns some images, asks for the model's class of each, trains a network of its own
    on them, and adds to them, in every round, x + step · sign(∂F_c(x)/∂x) for the answered class c:
    where the substitute F changes most, the model is asked next. Nothing but the answered classes
    is used. What is learned serves one call, that is one batch; to spend the queries once for a
    data set, give `imitate(...)` to `evaluate` as a source.

    Source: Papernot et al., "Practical black-box attacks against machine learning" (2017),
    algorithm 1: 6 rounds of 10 epochs, step 0.1 from 150 images; they craft with one step of FGSM,
    here PGD-40 is the default.

    Args:
        threat: what the attacker may do.
        images: the attacker's own, (n, channels, height, width); None takes the attacked ones.
        build: makes the untrained substitute.
        rounds: how often the images are doubled.
        epochs: passes over the images in a round.
        step: length of the augmentation in each pixel.
        attack: tried on the substitute; None is PGD-40 that keeps the last iterate.

    Raises:
        ValueError: when a setting is impossible.
    """

    def __init__(
        self,
        threat: ThreatModel,
        *,
        images: Tensor | None = None,
        build: Build = small_network,
        rounds: int = 6,
        epochs: int = 10,
        step: float | str = 0.1,
        attack: Attack | None = None,
    ) -> None:
        self.attack = attack or PGD(threat, stop_when_fooled=False, keep="last")
        super().__init__(threat, loss=self.attack.loss, precision="float32")
        if self.attack.threat != threat:
            raise ValueError(f"the attack is made for {self.attack.threat}; allowed is {threat}")
        if images is not None:
            threat.check_images(images)
        _check(rounds, epochs)
        self.images, self.build = images, build
        self.rounds, self.epochs, self.step = rounds, epochs, read_length("step", step)

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {
            "images": "the attacked ones" if self.images is None else len(self.images),
            "build": self.build.__name__,
            "rounds": self.rounds,
            "epochs": self.epochs,
            "step": self.step,
            "attack": self.attack.describe(),
        }

    def _search(self, victim: Victim, x: Tensor, generator: torch.Generator | None) -> Found:
        if not len(x):
            return Found(x.clone(), None, torch.zeros(0))
        images = x if self.images is None else self.images.to(x)
        classes = victim.logits(x[:1]).shape[1]
        substitute = imitate(
            lambda asked: victim.logits(asked).argmax(1),
            images,
            self.build(x.shape[1], classes),
            rounds=self.rounds,
            epochs=self.epochs,
            step=self.step,
            bounds=self.threat.bounds,
            generator=generator,
        )
        target = victim.labels if victim.wanted else None
        found = self.attack.run(substitute, x, victim.labels, target=target, generator=generator)
        return Found(found.x_adv, None, found.loss_per_step)


def imitate(
    answers: Callable[[Tensor], Tensor],
    images: Tensor,
    substitute: nn.Module,
    *,
    rounds: int = 6,
    epochs: int = 10,
    step: float = 0.1,
    bounds: tuple[float, float] = (0.0, 1.0),
    batch_size: int = 64,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Teach a network what another one answers, by Jacobian-based data set augmentation.

    Source: Papernot et al. (2017), algorithm 1; see `Substitute`. Adam of rate 1e-3 takes the place
    of their momentum.

    Args:
        answers: function of images to the classes that the model answers, (batch,); asked
            2 ** rounds times as many images as are given.
        images: the attacker's own, (n, channels, height, width).
        substitute: the network to teach; it is changed, and is in evaluation mode afterwards.
        rounds: how often the images are doubled.
        epochs: passes over the images in a round; one more round of them ends the training.
        step: length of the augmentation in each pixel.
        bounds: smallest and largest value of a pixel.
        batch_size: images a step of Adam.
        generator: shuffles the images; None is a fresh one with seed 0.

    Returns:
        The substitute.
    """
    _check(rounds, epochs)
    generator = generator or torch.Generator().manual_seed(0)
    substitute.to(images.device)
    optimiser = torch.optim.Adam(substitute.parameters(), lr=1e-3)
    x, y = images, answers(images)
    for turn in range(rounds + 1):
        substitute.train()
        for _ in range(epochs):
            order = torch.randperm(len(x), generator=generator, device=generator.device)
            for part in torch.split(order.to(x.device), batch_size):
                with torch.enable_grad():
                    loss = functional.cross_entropy(substitute(x[part]), y[part])
                    optimiser.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        if turn < rounds:
            added = (x + step * _jacobian_signs(substitute, x, y)).clamp(*bounds)
            x, y = torch.cat([x, added]), torch.cat([y, answers(added)])
    return substitute.eval()


def _jacobian_signs(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    with evaluating(network), torch.enable_grad():
        chosen = network(x).gather(1, y[:, None]).sum()
    return torch.autograd.grad(chosen, x)[0].sign()


def _check(rounds: int, epochs: int) -> None:
    check_count("rounds", rounds, least=0)
    check_count("epochs", epochs)

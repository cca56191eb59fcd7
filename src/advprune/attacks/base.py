"""What all attacks share: checks, the model's state, the audit, the result."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from advprune.attacks.losses import Loss, find_loss, targeted
from advprune.attacks.memory import keep_freed_memory
from advprune.attacks.victim import Classifier, Victim
from advprune.models.modes import evaluating
from advprune.threat import NORMS, ThreatModel

PRECISIONS = ("float32", "bfloat16")


class Found(NamedTuple):
    """What a search hands back; the meaning of each is `AttackResult`'s.

    `fooled` is None where the search did not look.
    """

    x_adv: Tensor
    fooled: Tensor | None
    loss_per_step: Tensor
    distance: Tensor | None = None


@dataclass(frozen=True)
class AttackResult:
    """What an attack found and what it cost.

    Attributes:
        x_adv: attacked images, like the given ones.
        fooled: whether each fools the model in float32 (any wrong class, or the target), (batch,).
        forward_passes: images that went forward through the model.
        backward_passes: images whose gradient was taken.
        loss_per_step: mean over the batch of each image's latest loss in the first restart,
            (steps,).
        distance: norm of the smallest perturbation found to fool, which may exceed the radius;
            0 where the image itself fools, infinity where nothing does, (batch,). None for attacks
            that do not seek the smallest.
        notes: what the attack had to do otherwise than it was told, such as another loss.
    """

    x_adv: Tensor
    fooled: Tensor
    forward_passes: int
    backward_passes: int
    loss_per_step: Tensor
    distance: Tensor | None = None
    notes: tuple[str, ...] = ()


def padded(means: list[Tensor], steps: int) -> list[Tensor]:
    """Mean losses for so many steps: those after the last that was made stay as they were."""
    return means[:steps] + [means[-1]] * (steps - len(means))


class Attack(ABC):
    """Searches a threat model for images that a model gets wrong.

    The model is attacked in evaluation mode. Its modes, gradients and buffers are afterwards what
    they were, after an exception too.

    Args:
        threat: what the attacker may do.
        loss: what is maximised: a name of `losses.LOSSES` or a function of (logits, labels) to
            (batch,). Against a target, its negative at the target is maximised.
        precision: "float32" or "bfloat16", of the passes that take gradients. What bfloat16 finds
            is confirmed in float32.

    Attributes:
        norms: in which norms it searches.

    Raises:
        ValueError: when a setting is impossible.
    """

    norms: ClassVar[tuple[str, ...]] = NORMS

    def __init__(self, threat: ThreatModel, *, loss: str | Loss, precision: str) -> None:
        if threat.norm not in self.norms:
            raise ValueError(
                f"norm={threat.norm!r}; {type(self).__name__} knows {', '.join(self.norms)}"
            )
        if precision not in PRECISIONS:
            raise ValueError(f"precision={precision!r}; allowed are {', '.join(PRECISIONS)}")
        self.threat = threat
        self.loss = find_loss(loss)
        self.precision = precision

    def __call__(
        self,
        model: Classifier,
        x: Tensor,
        y: Tensor,
        *,
        target: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Attacked images, like `x`; the arguments and errors are those of `run`."""
        return self._attacked(model, x, y, target, generator)[0].x_adv

    def run(
        self,
        model: Classifier,
        x: Tensor,
        y: Tensor,
        *,
        target: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> AttackResult:
        """Attack a batch and say what was found.

        Args:
            model: classifier of images to logits: a module, or for attacks without gradients any
                function, such as an exported model's.
            x: images, (batch, channels, height, width), within the threat's bounds.
            y: true classes, (batch,), int64.
            target: classes that the model should answer, (batch,), int64; None for any wrong one.
            generator: source of the noise; None is a fresh one with seed 0.

        Raises:
            ValueError: when images or classes are not as above.
            OutsideThreatError: when the attack broke its own threat model.
        """
        found, victim = self._attacked(model, x, y, target, generator)
        fooled = found.fooled
        if fooled is None:
            with _still(model):
                fooled = victim.fooled(found.x_adv)
        return AttackResult(
            found.x_adv,
            fooled,
            victim.forward_passes,
            victim.backward_passes,
            found.loss_per_step,
            found.distance,
            tuple(victim.notes),
        )

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return {
            "name": type(self).__name__,
            "norm": self.threat.norm,
            "eps": self.threat.eps,
            "bounds": list(self.threat.bounds),
            "loss": getattr(self.loss, "__name__", type(self.loss).__name__),
            "precision": self.precision,
        }

    @abstractmethod
    def _search(self, victim: Victim, x: Tensor, generator: torch.Generator | None) -> Found:
        """Search for images that fool the model; it is in evaluation mode meanwhile."""

    def _attacked(
        self,
        model: Classifier,
        x: Tensor,
        y: Tensor,
        target: Tensor | None,
        generator: torch.Generator | None,
    ) -> tuple[Found, Victim]:
        self.threat.check_images(x)
        _check_classes("y", y, x)
        keep_freed_memory()
        if target is not None:
            _check_classes("target", target, x)
            victim = Victim(model, target, True, targeted(self.loss), self.precision)
        else:
            victim = Victim(model, y, False, self.loss, self.precision)
        with _still(model):
            found = Found(*self._search(victim, x, generator))
        self.threat.audit(found.x_adv, x)
        return found, victim


def _still(model: Classifier) -> AbstractContextManager[object]:
    """A module in evaluation mode; other functions have none."""
    return evaluating(model) if isinstance(model, nn.Module) else nullcontext()


def _check_classes(name: str, classes: Tensor, x: Tensor) -> None:
    if classes.dtype != torch.int64 or classes.shape != x.shape[:1]:
        raise ValueError(
            f"{name} is {classes.dtype} of shape {tuple(classes.shape)}; "
            f"allowed is torch.int64 of shape ({len(x)},)"
        )

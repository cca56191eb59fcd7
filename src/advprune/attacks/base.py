"""What all attacks share: checks, the model's state, the audit, the result."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from advprune.attacks.losses import Loss, find_loss, targeted
from advprune.attacks.victim import Victim
from advprune.models.modes import evaluating
from advprune.threat import ThreatModel

PRECISIONS = ("float32", "bfloat16")


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
    """

    x_adv: Tensor
    fooled: Tensor
    forward_passes: int
    backward_passes: int
    loss_per_step: Tensor


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

    Raises:
        ValueError: when a setting is impossible.
    """

    def __init__(self, threat: ThreatModel, *, loss: str | Loss, precision: str) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision={precision!r}; allowed are {', '.join(PRECISIONS)}")
        self.threat = threat
        self.loss = find_loss(loss)
        self.precision = precision

    def __call__(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        *,
        target: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Attacked images, like `x`; the arguments and errors are those of `run`."""
        return self._attacked(model, x, y, target, generator)[0]

    def run(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        *,
        target: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> AttackResult:
        """Attack a batch and say what was found.

        Args:
            model: classifier of images to logits.
            x: images, (batch, channels, height, width), within the threat's bounds.
            y: true classes, (batch,), int64.
            target: classes that the model should answer, (batch,), int64; None for any wrong one.
            generator: source of the noise; None is a fresh one with seed 0.

        Raises:
            ValueError: when images or classes are not as above.
            OutsideThreatError: when the attack broke its own threat model.
        """
        x_adv, found, loss_per_step, victim = self._attacked(model, x, y, target, generator)
        if found is None:
            with evaluating(model):
                found = victim.fooled(x_adv)
        return AttackResult(
            x_adv, found, victim.forward_passes, victim.backward_passes, loss_per_step
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
    def _search(
        self, victim: Victim, x: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Attacked images, whether they fool (None where nobody looked), mean loss at each step."""

    def _attacked(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        target: Tensor | None,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor | None, Tensor, Victim]:
        self.threat.check_images(x)
        _check_classes("y", y, x)
        if target is not None:
            _check_classes("target", target, x)
            victim = Victim(model, target, True, targeted(self.loss), self.precision)
        else:
            victim = Victim(model, y, False, self.loss, self.precision)
        with evaluating(model):
            x_adv, fooled, loss_per_step = self._search(victim, x, generator)
        self.threat.audit(x_adv, x)
        return x_adv, fooled, loss_per_step, victim


def _check_classes(name: str, classes: Tensor, x: Tensor) -> None:
    if classes.dtype != torch.int64 or classes.shape != x.shape[:1]:
        raise ValueError(
            f"{name} is {classes.dtype} of shape {tuple(classes.shape)}; "
            f"allowed is torch.int64 of shape ({len(x)},)"
        )

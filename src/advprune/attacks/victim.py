"""The model under attack, as attacks see it: logits, losses, gradients, and what they cost."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from advprune.attacks.fast_gradient import fast_input_gradients
from advprune.attacks.losses import Loss, suited
from advprune.attacks.pending import CannotWaitError
from advprune.models.logits import logits_of

Classifier = Callable[[Tensor], Tensor]
"""Images (batch, channels, height, width) → logits (batch, classes): a module, or any function."""

Kind = TypeVar("Kind", bound="Victim")


@dataclass
class Victim:
    """A model with the labels that an attack moves it away from, or towards.

    `labels` are the true classes, or with `wanted` those that the attacker asks for; `loss` is to
    be maximised in both cases; a loss that needs more classes than there are is replaced, which
    `notes` tell. The counters are in examples.
    """

    model: Classifier
    labels: Tensor
    wanted: bool
    loss: Loss
    precision: str
    forward_passes: int = 0
    backward_passes: int = 0
    notes: list[str] = field(default_factory=list)
    _classes: int | None = field(default=None, init=False)
    _fast: bool = field(default=True, init=False)

    @contextmanager
    def seen_as(self, kind: type[Kind], **own: Any) -> Iterator[Kind]:
        """The same victim as one that judges otherwise, whose passes and notes are this one's.

        Args:
            kind: what it is seen as.
            **own: what that kind needs beside, or has otherwise.
        """
        same = {
            name: getattr(self, name)
            for name in ("model", "labels", "wanted", "loss", "precision", "notes")
        }
        other = kind(**(same | own))
        yield other
        self.forward_passes += other.forward_passes
        self.backward_passes += other.backward_passes

    def logits(self, x: Tensor) -> Tensor:
        """The model's answers in float32 and without gradient, (batch, classes)."""
        self.forward_passes += len(x)
        with torch.no_grad():
            return self._prepared(x)

    def fooled(self, x: Tensor, rows: Tensor | slice = slice(None)) -> Tensor:
        """Which images (of those rows of the batch) fool the model in float32, (rows,).

        By its own operators: the fast ones round otherwise, and some attacks stop at the boundary.
        """
        self.forward_passes += len(x)
        with torch.no_grad():
            return self._fooled(self._logits(x), rows)

    def confirmed(self, fooled: Tensor, x: Tensor, rows: Tensor) -> Tensor:
        """What the attack's precision calls fooled, less what float32 does not, (rows,)."""
        if self.precision == "float32":
            return fooled
        fooled = fooled.clone()
        fooled[fooled.clone()] = self.fooled(x[fooled], rows[fooled])
        return fooled

    def measure(self, x: Tensor, rows: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Losses and which images fool the model, in float32 and without gradient: two (rows,)."""
        return self.judge(self.logits(x), rows)

    def judge(self, logits: Tensor, rows: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Losses of answers and which of them are what the attacker wants: two (rows,)."""
        return self.loss(logits, self.labels[rows]), self._fooled(logits, rows)

    def refuse_target(self, attack: object) -> None:
        """Say that an attack finds its targets itself.

        Raises:
            ValueError: when one was given.
        """
        if self.wanted:
            raise ValueError(
                f"target with {type(attack).__name__}, which tries the likeliest wrong classes; "
                "allowed are attacks with a loss, such as APGD and PGD"
            )

    def gradient(
        self, x: Tensor, rows: Tensor | slice = slice(None), loss: Loss | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradient of each image's loss at `x`, the losses, and which images fool the model.

        Args:
            x: images, (rows, channels, height, width).
            rows: which of the batch they stand for.
            loss: another loss than the attack's.

        Returns:
            A tensor like `x`, and two of (rows,). The last is as seen in the attack's precision.
        """
        x = x.detach().requires_grad_()
        with torch.enable_grad(), self._autocast(x):
            logits = self._followed(x)
            losses = (loss or self.loss)(logits, self.labels[rows])
            (gradient,) = torch.autograd.grad(losses.sum(), x)
        self.forward_passes += len(x)
        self.backward_passes += len(x)
        return gradient, losses.detach(), self._fooled(logits.detach(), rows)

    def class_gradients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits at `x` and the gradient of each of them.

        Returns:
            (rows, classes) and (rows, classes, channels, height, width).
        """
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            logits = self._followed(x)
            sums = logits.sum(0)
            gradients = [torch.autograd.grad(one, x, retain_graph=True)[0] for one in sums]
        self.forward_passes += len(x)
        self.backward_passes += len(x) * len(sums)
        return logits.detach(), torch.stack(gradients, dim=1)

    def _followed(self, x: Tensor) -> Tensor:
        """Logits with the graph that leads to `x`."""
        logits = self._prepared(x)
        if not logits.requires_grad:
            raise ValueError(
                "the model's output has no gradient with respect to its input; "
                "allowed are models that autograd can follow, without no_grad or detach inside"
            )
        return logits

    def _prepared(self, x: Tensor) -> Tensor:
        """Logits by the fast operators, where the model allows it."""
        if self._fast:
            try:
                with fast_input_gradients():
                    return self._logits(x)
            except RuntimeError as error:  # TorchScript does not let the error itself through
                if not isinstance(error, CannotWaitError) and "TorchScript" not in str(error):
                    raise
                self._fast = False
        return self._logits(x)

    def _logits(self, x: Tensor) -> Tensor:
        logits = logits_of(self.model, x)
        if self._classes is None:
            self._check_labels(logits.shape[1])
        return logits.float() if logits.dtype == torch.bfloat16 else logits

    def _check_labels(self, classes: int) -> None:
        self._classes = classes
        self.loss, note = suited(self.loss, classes)
        self.notes += [note] if note else []
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < classes:
            raise ValueError(
                f"classes lie in [{self.labels.min()}, {self.labels.max()}]; "
                f"the model answers {classes}: allowed are 0 to {classes - 1}"
            )

    def _fooled(self, logits: Tensor, rows: Tensor | slice) -> Tensor:
        return (logits.argmax(1) == self.labels[rows]) == self.wanted

    def _autocast(self, x: Tensor) -> AbstractContextManager[object]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(x.device.type, torch.bfloat16)

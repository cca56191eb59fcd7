"""The model under attack, as attacks see it: logits, losses, gradients, and what they cost."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from advprune.attacks.fast_gradient import fast_input_gradients
from advprune.attacks.losses import Loss


@dataclass
class Victim:
    """A model with the labels that an attack moves it away from, or towards.

    `labels` are the true classes, or with `wanted` those that the attacker asks for; `loss` is to
    be maximised in both cases. The counters are in examples.
    """

    model: nn.Module
    labels: Tensor
    wanted: bool
    loss: Loss
    precision: str
    forward_passes: int = 0
    backward_passes: int = 0
    _classes: int | None = field(default=None, init=False)

    def fooled(self, x: Tensor, rows: Tensor | slice = slice(None)) -> Tensor:
        """Which images (of those rows of the batch) fool the model in float32, (rows,)."""
        with torch.no_grad():
            self.forward_passes += len(x)
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
        with torch.no_grad():
            self.forward_passes += len(x)
            logits = self._logits(x)
            return self._losses(logits, rows), self._fooled(logits, rows)

    def gradient(
        self, x: Tensor, rows: Tensor | slice = slice(None)
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradient of each image's loss at `x`, the losses, and which images fool the model.

        Returns:
            A tensor like `x`, and two of (rows,). The last is as seen in the attack's precision.
        """
        x = x.detach().requires_grad_()
        with torch.enable_grad(), self._autocast(x):
            with fast_input_gradients():
                logits = self._logits(x)
            losses = self._losses(logits, rows)
            if not losses.requires_grad:
                raise ValueError(
                    "the model's output has no gradient with respect to its input; "
                    "allowed are models that autograd can follow, without no_grad or detach inside"
                )
            (gradient,) = torch.autograd.grad(losses.sum(), x)
        self.forward_passes += len(x)
        self.backward_passes += len(x)
        return gradient, losses.detach(), self._fooled(logits.detach(), rows)

    def _logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x)
        if logits.dim() != 2 or len(logits) != len(x):
            raise ValueError(
                f"the model answers {tuple(logits.shape)} to {len(x)} images; "
                "allowed are logits of shape (batch, classes)"
            )
        if self._classes is None:
            self._check_labels(logits.shape[1])
        return logits.float() if logits.dtype == torch.bfloat16 else logits

    def _check_labels(self, classes: int) -> None:
        self._classes = classes
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < classes:
            raise ValueError(
                f"classes lie in [{self.labels.min()}, {self.labels.max()}]; "
                f"the model answers {classes}: allowed are 0 to {classes - 1}"
            )

    def _losses(self, logits: Tensor, rows: Tensor | slice) -> Tensor:
        return self.loss(logits, self.labels[rows])

    def _fooled(self, logits: Tensor, rows: Tensor | slice) -> Tensor:
        return (logits.argmax(1) == self.labels[rows]) == self.wanted

    def _autocast(self, x: Tensor) -> AbstractContextManager[object]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(x.device.type, torch.bfloat16)

"""A gated model inside a `LightningModule`; needs the extra `lightning`."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from advprune.choices import check_count
from advprune.gates import GatedModel, remove_dead


class Prune(pl.Callback):
    """Adds `beta KL / N` to the loss, removes dead units at epochs' borders, slims at the end.

    The divergence is differentiated beside the loss, so that `training_step` is left as it is; with
    automatic optimisation, in float32 or bfloat16 (a gradient scaler would not reach it).

    Attributes:
        slim: the plain network, once training has ended.
    """

    def __init__(
        self,
        attribute: str,
        *,
        examples: int,
        fold: Callable[[GatedModel, Tensor], nn.Module],
        example_input: Tensor,
        beta: float = 1.0,
    ) -> None:
        """Sets what is pruned.

        Args:
            attribute: of the `LightningModule` that holds the gated model.
            examples: N, training images.
            fold: `advprune.slim`.
            example_input: real images (batch, channels, height, width) that prove the slim network.
            beta: weight of the divergence.

        Raises:
            ValueError: N is no positive whole number.
        """
        check_count("examples", examples)
        self.slim: nn.Module | None = None
        self._attribute, self._examples, self._beta = attribute, examples, beta
        self._fold, self._example = fold, example_input

    def setup(
        self,
        trainer: pl.Trainer,  # noqa: ARG002 - Lightning's signature, as below
        pl_module: pl.LightningModule,
        stage: str,  # noqa: ARG002
    ) -> None:
        """Checks that the model is there and gated.

        Raises:
            ValueError: it is not.
        """
        self._gated(pl_module)

    def on_before_backward(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        loss: Tensor,  # noqa: ARG002
    ) -> None:
        """Adds the divergence's gradient to what the loss is about to give."""
        weight = self._beta / self._examples / trainer.accumulate_grad_batches
        torch.autograd.backward(weight * self._gated(pl_module).kl())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Removes what is dead; the optimisers follow."""
        remove_dead(self._gated(pl_module), trainer.optimizers)

    def on_train_end(
        self,
        trainer: pl.Trainer,  # noqa: ARG002
        pl_module: pl.LightningModule,
    ) -> None:
        """Folds and cuts."""
        gated = self._gated(pl_module)
        mode = gated.training
        example = self._example.to(next(gated.parameters()).device)
        self.slim = self._fold(gated.eval(), example)
        gated.train(mode)

    def _gated(self, pl_module: Any) -> GatedModel:
        gated = getattr(pl_module, self._attribute, None)
        if not isinstance(gated, GatedModel):
            raise ValueError(
                f"{type(pl_module).__name__}.{self._attribute} is a {type(gated).__name__}; "
                "it must be what advprune.gate gives"
            )
        return gated

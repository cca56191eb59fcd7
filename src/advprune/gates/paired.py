"""Clean and adversarial images through one pass that shares everything but the input."""

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from advprune.gates.gated import GatedModel
from advprune.gates.shared_noise import SharedNoise
from advprune.models.logits import logits_of


def paired(model: nn.Module, x: Tensor, x_adv: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the logits of both batches from one pass.

    Both halves share gates and dropout, and batch norm sees them as one batch, with one update of
    its statistics: two passes would be normalised apart and hide the shift of the features.

    Args:
        model: gated or plain, in any mode.
        x: clean images (batch, channels, height, width).
        x_adv: their counterparts, of the same shape.
    """
    copies = model.in_copies(2) if isinstance(model, GatedModel) else nullcontext()
    with copies, SharedNoise():
        logits = logits_of(model, torch.cat([x, x_adv]))
    first, second = logits.chunk(2)
    return first, second

"""Detection of attacked images by what squeezing changes."""

from collections.abc import Callable, Sequence

import torch
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]
from torch import Tensor

Squeezer = Callable[[Tensor], Tensor]


def squeezing_score(
    model: Callable[[Tensor], Tensor], squeezers: Sequence[Squeezer], x: Tensor
) -> Tensor:
    """Max over squeezers s of ‖softmax f(x) - softmax f(s(x))‖₁, (batch,), in [0, 2].

    Large scores are called attacked.

    Source: Xu, Evans & Qi, "Feature squeezing" (2018), section 5.

    Args:
        model: classifier f of images to logits.
        squeezers: such as `BitDepth` and `Median`.
        x: images, (batch, channels, height, width).
    """
    plain = model(x).softmax(1)
    moved = [(plain - model(squeeze(x)).softmax(1)).abs().sum(1) for squeeze in squeezers]
    return torch.stack(moved).amax(0)


def roc_area(clean: Tensor, attacked: Tensor) -> float:
    """The chance that an attacked image scores higher than a clean one, ties counting half.

    Area under the ROC curve: 1 tells all apart, 0.5 none.
    """
    scores = torch.cat([clean, attacked]).double().cpu()
    return float(roc_auc_score(torch.arange(len(scores)) >= len(clean), scores))

"""Whether two networks compute the same."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
"""Largest difference of the logits, relative to the largest logit; 1e-2 for other types."""


@torch.no_grad()
def mismatch(network: nn.Module, x: Tensor, expected: Any) -> str | None:
    """Returns how a cut network's logits differ from the expected ones, None where they do not.

    Args:
        network: in the mode it is to be compared in.
        x: images (batch, channels, height, width).
        expected: (batch, classes), the logits of the network that was cut; in train mode it may
            have given several.
    """
    try:
        found = network(x)
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        return f"it does not run once it is cut, so a width is fixed in its forward ({error})"
    return difference(found, expected)


def difference(found: Any, expected: Any) -> str | None:
    """Returns how logits differ from the expected ones, None where they do not."""
    if not isinstance(expected, Tensor):
        (left, form), (right, own) = tree_flatten(found), tree_flatten(expected)
        if form != own:
            return f"it gives {form}, not {own}"
        pairs = zip(left, right, strict=True)
        parts = (difference(*pair) for pair in pairs if isinstance(pair[1], Tensor))
        return next(filter(None, parts), None)
    if not isinstance(found, Tensor):
        return f"it gives a {type(found).__name__}, not one tensor"
    if found.shape != expected.shape:
        return f"its output has shape {tuple(found.shape)}, not {tuple(expected.shape)}"
    scale = expected.abs().max().clamp_min(1e-12)
    off = float((found - expected).abs().max() / scale)
    allowed = TOLERANCE.get(expected.dtype, 1e-2)
    if off <= allowed:
        return None
    return f"its logits differ by {off:.2e} of the largest; {allowed:.0e} is allowed"

"""Whether two networks compute the same."""

import torch
from torch import Tensor, nn

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
"""Largest difference of the logits, relative to the largest logit; 1e-2 for other types."""


@torch.no_grad()
def mismatch(network: nn.Module, x: Tensor, expected: Tensor) -> str | None:
    """Returns how a cut network's logits differ from the expected ones, None where they do not.

    Args:
        network: in the mode it is to be compared in.
        x: images (batch, channels, height, width).
        expected: (batch, classes), the logits of the network that was cut.
    """
    try:
        found = network(x)
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        return f"it does not run once it is cut, so a width is fixed in its forward ({error})"
    if found.shape != expected.shape:
        return f"its output has shape {tuple(found.shape)}, not {tuple(expected.shape)}"
    scale = expected.abs().max().clamp_min(1e-12)
    difference = float((found - expected).abs().max() / scale)
    allowed = TOLERANCE.get(expected.dtype, 1e-2)
    if difference <= allowed:
        return None
    return f"its logits differ by {difference:.2e} of the largest; {allowed:.0e} is allowed"

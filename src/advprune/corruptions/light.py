"""Too much light, too little contrast."""

import torch
from torch import Tensor


def brightness(x: Tensor, _noise: Tensor, severity: int) -> Tensor:
    """Largest channel (the value of hue, saturation, value) raised, up to 1; the others in step."""
    value = x.amax(1, keepdim=True)
    raised = (value + (0.05, 0.10, 0.15, 0.20, 0.30)[severity - 1]).clamp(max=1)
    return torch.where(value > 0, x * raised / value, raised).clamp(0, 1)


def contrast(x: Tensor, _noise: Tensor, severity: int) -> Tensor:
    """Pixels drawn to the image's mean m of their channel: m + c (x - m)."""
    mean = x.mean((2, 3), keepdim=True)
    return ((0.75, 0.50, 0.40, 0.30, 0.15)[severity - 1] * (x - mean) + mean).clamp(0, 1)

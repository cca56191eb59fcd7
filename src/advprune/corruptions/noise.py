"""Noise of sensors and of transmission."""

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import pdtr, pdtrik  # type: ignore[import-untyped]
from torch import Tensor

FloatArray = npt.NDArray[np.float64]

EDGE = 1e-7
"""Distance from 0 and 1 that keeps a normal deviate finite."""


def gaussian_noise(x: Tensor, noise: Tensor, severity: int) -> Tensor:
    """Added normal noise n: x + σ n."""
    return (x + (0.04, 0.06, 0.08, 0.09, 0.10)[severity - 1] * _normal(noise)).clamp(0, 1)


def speckle_noise(x: Tensor, noise: Tensor, severity: int) -> Tensor:
    """Normal noise n in proportion to the light: x + σ x n."""
    return (x * (1 + (0.06, 0.10, 0.12, 0.16, 0.20)[severity - 1] * _normal(noise))).clamp(0, 1)


def shot_noise(x: Tensor, noise: Tensor, severity: int) -> Tensor:
    """Counted photons: Poisson(c x) / c, the fewer c the louder."""
    photons = (500, 250, 100, 75, 50)[severity - 1]
    counts = _poisson(noise.cpu().double().numpy(), photons * x.cpu().double().numpy())
    return (torch.from_numpy(counts).to(x) / photons).clamp(0, 1)


def impulse_noise(x: Tensor, noise: Tensor, severity: int) -> Tensor:
    """A share of all values becomes 0 or 1, half of them each."""
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[severity - 1]
    changed = torch.where(noise < share / 2, 0.0, 1.0).to(x)
    return torch.where(noise < share, changed, x)


def _poisson(share: FloatArray, mean: FloatArray) -> FloatArray:
    """The least count that so large a share of counts does not exceed."""
    count = np.ceil(pdtrik(share, mean))
    less = np.maximum(count - 1, 0)
    found: FloatArray = np.where(pdtr(less, mean) >= share, less, count)
    return found


def _normal(noise: Tensor) -> Tensor:
    """Normal deviates by the inverse distribution function."""
    deviates: Tensor = torch.special.ndtri(noise.double().clamp(EDGE, 1 - EDGE))
    return deviates.to(noise.dtype)

"""Blur of lenses and of motion. Beyond the border lies the nearest pixel."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from advprune.corruptions.warping import warped

LONGEST_ANGLE = 45
"""Degrees by which motion may leave the horizontal, up or down."""


def gaussian_blur(x: Tensor, _noise: Tensor, severity: int) -> Tensor:
    """Convolved with a Gaussian, cut at four σ."""
    sigma = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1]
    return _convolved(x, _gaussian(sigma, int(4 * sigma + 0.5)))


def defocus_blur(x: Tensor, _noise: Tensor, severity: int) -> Tensor:
    """Convolved with a disk, whose edge a Gaussian of 3 by 3 pixels softens."""
    radius, sigma = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))[severity - 1]
    reach = math.ceil(radius) + 1
    place = torch.arange(-reach, reach + 1.0)
    disk = (place[:, None].square() + place.square() <= radius**2).float()
    soft = functional.conv2d((disk / disk.sum())[None, None], _gaussian(sigma, 1)[None, None])
    return _convolved(x, soft[0, 0])


def motion_blur(x: Tensor, noise: Tensor, severity: int) -> Tensor:
    """Mean over a path of pixels, weighted by half a Gaussian, in an image's own direction.

    The direction, within 45° of the horizontal, comes from an image's first number.
    """
    radius, sigma = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))[severity - 1]
    angle = torch.deg2rad(LONGEST_ANGLE * (2 * noise.flatten(1)[:, 0] - 1))
    weights = torch.exp(-torch.arange(2 * radius + 1.0).square() / (2 * sigma**2))
    total = torch.zeros_like(x)
    for far, weight in enumerate((weights / weights.sum()).tolist()):
        right, down = far * angle.cos(), far * angle.sin()
        total += weight * warped(x, right=right, down=down, padding="border")
    return total.clamp(0, 1)


def zoom_blur(x: Tensor, _noise: Tensor, severity: int) -> Tensor:
    """Mean of the image and its enlargements by 1, 1.01 … 1 + severity / 20."""
    zooms = [1 + step / 100 for step in range(5 * severity + 1)]
    total = x + sum(warped(x, zoom=zoom, padding="border") for zoom in zooms)
    return (total / (len(zooms) + 1)).clamp(0, 1)


def _gaussian(sigma: float, reach: int) -> Tensor:
    """Kernel of 2 · reach + 1 rows and columns, of sum 1."""
    line = torch.exp(-torch.arange(-reach, reach + 1.0).square() / (2 * sigma**2))
    kernel = line[:, None] * line
    return kernel / kernel.sum()


def _convolved(x: Tensor, kernel: Tensor) -> Tensor:
    reach, channels = len(kernel) // 2, x.shape[1]
    padded = functional.pad(x, [reach] * 4, mode="replicate")
    kernels = kernel.to(x).expand(channels, 1, -1, -1)
    return functional.conv2d(padded, kernels, groups=channels).clamp(0, 1)

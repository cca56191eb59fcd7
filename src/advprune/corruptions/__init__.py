"""Common corruptions: what happens to images without an attacker, at five severities.

Each is a pure function of images in [0, 1], (batch, channels, height, width), of as many numbers
drawn uniformly from [0, 1), and of a severity from 1 to 5, to images in [0, 1].

Source: Hendrycks & Dietterich, "Benchmarking neural network robustness to common corruptions and
perturbations" (2019). Formulas and severities are those of its CIFAR-10-C, made for 32 by 32
pixels: larger images are hurt less. Left out are the weather, whose frost and snow need pictures,
glass and elastic.
"""

from collections.abc import Callable

from torch import Tensor

from advprune.corruptions.blur import defocus_blur, gaussian_blur, motion_blur, zoom_blur
from advprune.corruptions.coding import jpeg, pixelate
from advprune.corruptions.light import brightness, contrast
from advprune.corruptions.noise import gaussian_noise, impulse_noise, shot_noise, speckle_noise

SEVERITIES = (1, 2, 3, 4, 5)

Corrupt = Callable[[Tensor, Tensor, int], Tensor]
"""(images, uniform numbers like them, severity) → images."""

CORRUPTIONS: dict[str, Corrupt] = {
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    "speckle_noise": speckle_noise,
    "gaussian_blur": gaussian_blur,
    "defocus_blur": defocus_blur,
    "motion_blur": motion_blur,
    "zoom_blur": zoom_blur,
    "brightness": brightness,
    "contrast": contrast,
    "pixelate": pixelate,
    "jpeg": jpeg,
}

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corrupt"]

"""Purification: images are moved to where a generative model finds them likely."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.choices import check_count


class PixelCNN(nn.Module):
    """p(x) = Π p(xᵢ | x₁ … xᵢ₋₁) of grey images whose pixels have a few levels, in reading order.

    Source: van den Oord et al., "Pixel recurrent neural networks" (2016), section 3: convolutions
    whose kernels are masked, so that a pixel sees those above and to the left; a small one.

    Args:
        levels: values k / (levels - 1) that a pixel may have.
        width: channels.
        depth: layers after the first.
    """

    def __init__(self, levels: int, width: int = 16, depth: int = 2) -> None:
        super().__init__()
        check_count("levels", levels, least=2)
        self.levels = levels
        layers: list[nn.Module] = [_Masked(1, width, 5, itself=False), nn.ReLU()]
        for _ in range(depth):
            layers += [_Masked(width, width, 3, itself=True), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, levels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Images (batch, 1, height, width) → logits of each level of each pixel given those before.

        They are (batch, levels, height, width).
        """
        logits: Tensor = self.layers(2 * x - 1)
        return logits

    def surprise(self, x: Tensor) -> Tensor:
        """-log₂ p(x) a pixel, of images rounded to the levels, (batch,).

        A rounding has no gradient: that of log p's linear interpolation between levels stands in.
        """
        place = x * (self.levels - 1)
        nearest = (place.round() - place).detach() + place
        levels = torch.arange(self.levels, device=x.device).view(1, -1, 1, 1)
        near = (1 - (place - levels).abs()).clamp(min=0)
        chosen = near + ((nearest.detach() == levels).float() - near).detach()
        logits: Tensor = self(nearest / (self.levels - 1))
        nats = -(chosen * logits.log_softmax(1)).sum(1)
        return nats.flatten(1).mean(1) / math.log(2)


class _Masked(nn.Conv2d):
    """A convolution that sees pixels before the centre in reading order; with `itself` it too."""

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, size: int, *, itself: bool) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2)
        mask = torch.zeros(size * size)
        mask[: size * size // 2 + itself] = 1
        self.register_buffer("mask", mask.view(size, size))

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class PixelDefend(nn.Module):
    """Each pixel becomes the likeliest level within a radius of it, given the pixels before.

    x*ᵢ = argmax over levels v with |v - xᵢ| ≤ radius of p(v | x*₁ … x*ᵢ₋₁), in reading order
    (greedy decoding). Its gradient is 0; `identity` stands in for it.

    Source: Song et al., "PixelDefend" (2018), algorithm 1; it falls to BPDA (Athalye, Carlini &
    Wagner, 2018, section 5).

    Args:
        density: gives logits as `PixelCNN` does.
        levels: of the density.
        radius: how far a pixel may go, in pixels' units; the paper takes twice the attacker's.

    Raises:
        ValueError: when some pixel would have no level within the radius.
    """

    values: Tensor

    def __init__(self, density: nn.Module, levels: int, radius: float) -> None:
        super().__init__()
        check_count("levels", levels, least=2)
        least = 0.5 / (levels - 1)
        if not radius >= least:
            raise ValueError(
                f"radius={radius} with {levels} levels; allowed are numbers from {least}"
            )
        self.density, self.radius = density, radius
        self.register_buffer("values", torch.linspace(0, 1, levels))

    def forward(self, x: Tensor) -> Tensor:
        """Purified images (batch, 1, height, width); the shape stays."""
        cleaned = x.detach().clone()
        far = (self.values - x.detach()[:, 0, :, :, None]).abs() > self.radius + 1e-6
        with torch.no_grad():
            for row in range(x.shape[2]):
                for column in range(x.shape[3]):
                    logits = self.density(cleaned[:, :, : row + 1])[:, :, row, column]
                    allowed = logits.masked_fill(far[:, row, column], -torch.inf)
                    cleaned[:, 0, row, column] = self.values[allowed.argmax(1)]
        return cleaned + 0 * x

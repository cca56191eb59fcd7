"""Feature squeezing: fewer depths of colour, smoother images."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.choices import check_count


class BitDepth(nn.Module):
    """round((2ᵇ - 1) x) / (2ᵇ - 1): images of b bits a pixel. Its gradient is 0.

    Source: Xu, Evans & Qi, "Feature squeezing" (2018), section 3.1. `identity` stands in for it.

    Args:
        bits: b, from 1 to 8.

    Raises:
        ValueError: when `bits` is not such a number.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        check_count("bits", bits)
        if bits > 8:
            raise ValueError(f"bits={bits}; allowed are 1 to 8")
        self.steps: int = 2**bits - 1

    def forward(self, x: Tensor) -> Tensor:
        """Squeezed images (batch, channels, height, width); the shape stays."""
        return torch.round(x * self.steps) / self.steps


class Median(nn.Module):
    """Each pixel becomes the median of the k by k window around it, borders mirrored.

    Source: Xu, Evans & Qi (2018), section 3.2; of an even number of values the lower one.

    Args:
        size: k; a window of even size reaches one farther down and right.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        check_count("size", size, least=2)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Smoothed images (batch, channels, height, width); the shape stays."""
        before, after = (self.size - 1) // 2, self.size // 2
        padded = functional.pad(x, (before, after, before, after), mode="reflect")
        windows = padded.unfold(2, self.size, 1).unfold(3, self.size, 1)
        return windows.flatten(4).median(4).values


class NonLocalMeans(nn.Module):
    """Each pixel becomes a mean over a window, weighted by how alike the pixels' patches are.

    w = exp(-‖patch - patch'‖² / (p² h²)), patches p by p, borders mirrored.

    Source: Buades, Coll & Morel, "A non-local algorithm for image denoising" (2005), as one of the
    squeezers of Xu, Evans & Qi (2018), section 3.2.

    Args:
        search: size of the window, odd.
        patch: p, odd.
        strength: h.
    """

    def __init__(self, search: int = 5, patch: int = 3, strength: float = 0.2) -> None:
        super().__init__()
        for name, size in (("search", search), ("patch", patch)):
            check_count(name, size)
            if size % 2 == 0:
                raise ValueError(f"{name}={size}; allowed are odd numbers")
        if not strength > 0:
            raise ValueError(f"strength={strength}; allowed are numbers above 0")
        self.search, self.patch, self.strength = search, patch, strength

    def forward(self, x: Tensor) -> Tensor:
        """Smoothed images (batch, channels, height, width); the shape stays."""
        far, near = self.search // 2, self.patch // 2
        height, width = x.shape[2:]
        padded = functional.pad(x, [far] * 4, mode="reflect")
        total, weights = torch.zeros_like(x), torch.zeros_like(x[:, :1])
        for down in range(self.search):
            for right in range(self.search):
                other = padded[:, :, down : down + height, right : right + width]
                difference = (x - other).square().mean(1, keepdim=True)
                edged = functional.pad(difference, [near] * 4, mode="replicate")
                alike = functional.avg_pool2d(edged, self.patch, stride=1)
                weight = torch.exp(-alike / self.strength**2)
                total, weights = total + weight * other, weights + weight
        return total / weights

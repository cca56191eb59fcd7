"""Random resizing and padding."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResizeAndPad(nn.Module):
    """Images are resized to a random size and padded with 0 at random sides.

    Height and width grow to the same random size from their own up to `size` - 1, by the nearest
    pixel, at a random place of a `size` by `size` image. One draw a batch, from torch's global
    random state, as dropout does.

    Source: Xie et al., "Mitigating adversarial effects through randomization" (2018), section 3.

    Args:
        size: height and width of what comes out.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Square images (batch, channels, side, side) → (batch, channels, size, size).

        Raises:
            ValueError: when they are not square and smaller than `size`.
        """
        height, width = x.shape[2:]
        if height != width or height >= self.size:
            raise ValueError(
                f"images are {height} by {width}; allowed are squares below {self.size}"
            )
        side = int(torch.randint(height, self.size, ()))
        top, left = (int(torch.randint(self.size - side + 1, ())) for _ in range(2))
        resized = functional.interpolate(x, size=(side, side), mode="nearest")
        rest = self.size - side
        return functional.pad(resized, (left, rest - left, top, rest - top))

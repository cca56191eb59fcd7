"""Images turned, shifted and zoomed, with bilinear interpolation."""

import torch
from torch import Tensor
from torch.nn import functional


def warped(
    x: Tensor,
    *,
    degrees: Tensor | float = 0.0,
    right: Tensor | float = 0.0,
    down: Tensor | float = 0.0,
    zoom: float = 1.0,
    padding: str = "zeros",
) -> Tensor:
    """Turn each image about its centre, enlarge it, and then shift it.

    Args:
        x: (batch, channels, height, width).
        degrees: Anticlockwise, (batch,) or one for all.
        right: Pixels, likewise.
        down: Pixels, likewise.
        zoom: How many times larger.
        padding: What comes in from outside: "zeros" or "border", the nearest pixel.

    Returns:
        Images like `x`.
    """
    height, width = x.shape[2:]
    turn, right, down = (
        torch.as_tensor(value, dtype=x.dtype, device=x.device).expand(len(x))
        for value in (degrees, right, down)
    )
    turn = torch.deg2rad(turn)
    cosine, sine = turn.cos() / zoom, turn.sin() / zoom
    # where each pixel comes from: the inverse, in units of half the width and half the height
    across = (-2 * right / width, -2 * down / height)
    matrix = torch.stack(
        [
            torch.stack([cosine, -sine * height / width], dim=1),
            torch.stack([sine * width / height, cosine], dim=1),
        ],
        dim=1,
    )
    shift = matrix @ torch.stack(across, dim=1)[:, :, None]
    grid = functional.affine_grid(torch.cat([matrix, shift], dim=2), list(x.shape), False)
    return functional.grid_sample(x, grid, "bilinear", padding, align_corners=False)

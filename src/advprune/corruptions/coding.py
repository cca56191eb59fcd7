"""What storing an image in less room does to it."""

from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional


def pixelate(x: Tensor, _noise: Tensor, severity: int) -> Tensor:
    """Shrunk to a share of the side by means over areas, and enlarged by the nearest pixel."""
    share = (0.95, 0.90, 0.85, 0.75, 0.65)[severity - 1]
    height, width = x.shape[2:]
    down, across = (_areas(side, max(int(share * side), 1)).to(x) for side in (height, width))
    small = down @ x @ across.T
    return functional.interpolate(small, (height, width), mode="nearest-exact").clamp(0, 1)


def jpeg(x: Tensor, _noise: Tensor, severity: int) -> Tensor:
    """Written as JPEG and read again; other than three channels each as a grey image."""
    quality = (80, 65, 58, 50, 40)[severity - 1]
    pixels = (x * 255).round().to(torch.uint8).cpu()
    if x.shape[1] != 3:
        pixels = pixels.flatten(0, 1)[:, None]
    read = [_recoded(one.permute(1, 2, 0).squeeze(2).numpy(), quality) for one in pixels]
    return torch.stack(read).view(x.shape).to(x) / 255 if read else x


def _recoded(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], quality: int) -> Tensor:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        read = torch.from_numpy(np.array(picture))
    return read.view(*read.shape[:2], -1).permute(2, 0, 1)


def _areas(before: int, after: int) -> Tensor:
    """The share of each new pixel that each old one covers, (after, before)."""
    scale = before / after
    start = scale * torch.arange(after, dtype=torch.float64)[:, None]
    old = torch.arange(before, dtype=torch.float64)
    covered = torch.minimum(start + scale, old + 1) - torch.maximum(start, old)
    return covered.clamp(min=0) / scale

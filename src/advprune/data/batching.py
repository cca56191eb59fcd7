"""Batches of images: for training, and from whatever a caller evaluates on."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from advprune.choices import check_count, choose
from advprune.data.images import Images, as_float, check_batch
from advprune.data.loading import load

Augment = Callable[[Tensor, torch.Generator], Tensor]
Data = Images | tuple[Tensor, Tensor] | Iterable[tuple[Tensor, Tensor]] | str


def batches(
    images: Images,
    size: int,
    *,
    generator: torch.Generator | None = None,
    shuffle: bool = False,
    augment: str | Augment | None = None,
    drop_last: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Give one epoch's batches: images float32 in [0, 1] and int64 labels.

    All randomness comes from ``generator``: the order first, then each batch's augmentation. The
    state it had at the epoch's start gives the same epoch again.

    Args:
        images: The images.
        size: Images a batch, at least 1.
        generator: Needed to shuffle or augment.
        shuffle: Whether to draw a new order.
        augment: A name in ``AUGMENTS``, or a function of (float images, generator).
        drop_last: Whether to leave out a last batch of fewer images.

    Raises:
        ValueError: If a setting is no good; at once, not at the first batch.
    """
    check_count("size", size)
    if generator is None and (shuffle or augment is not None):
        raise ValueError("Shuffling and augmentation draw from generator=, which is missing.")
    change = choose("augmentation", augment, AUGMENTS) if isinstance(augment, str) else augment
    return _epoch(images, size, generator, shuffle, change, drop_last)


def _epoch(
    images: Images,
    size: int,
    generator: torch.Generator | None,
    shuffle: bool,
    augment: Augment | None,
    drop_last: bool,
) -> Iterator[tuple[Tensor, Tensor]]:
    number = len(images)
    order = torch.randperm(number, generator=generator) if shuffle else torch.arange(number)
    used = number // size * size if drop_last else number
    for chosen in torch.split(order[:used], size) if used else ():
        x = as_float(images.x[chosen])
        if augment is not None and generator is not None:
            x = augment(x, generator)
        yield x, images.y[chosen]


def crop_flip(x: Tensor, generator: torch.Generator, padding: int = 4) -> Tensor:
    """Pad with zeros, cut a random window of the old size, and mirror every other image.

    Args:
        x: Images (batch, channels, height, width).
        generator: Draws the windows' corners and the mirroring, for each image by itself.
        padding: Pixels added at each border.

    Returns:
        Images of the same shape.
    """
    windows = crop(x, generator, padding)
    mirrored = torch.rand((len(x), 1, 1, 1), generator=generator) < 0.5
    return torch.where(mirrored, windows.flip(-1), windows)


def crop(x: Tensor, generator: torch.Generator, padding: int = 2) -> Tensor:
    """Pad with zeros and cut a random window of the old size: a shift of a few pixels.

    Args:
        x: Images (batch, channels, height, width).
        generator: Draws the windows' corners, for each image by itself.
        padding: Pixels added at each border; no image is shifted further.

    Returns:
        Images of the same shape.
    """
    batch, _, height, width = x.shape
    top, left = torch.randint(2 * padding + 1, (2, batch, 1), generator=generator)
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    padded = functional.pad(x, (padding,) * 4)
    each = torch.arange(batch)[:, None, None]
    windows = padded[each, :, rows[:, :, None], columns[:, None, :]]
    return windows.permute(0, 3, 1, 2).contiguous()


def noisy(sigma: float, after: Augment | None = None) -> Augment:
    """Give the augmentation that adds N(0, σ²) to every pixel, and does not cut at the bounds.

    Source: Cohen et al. 2019 (arXiv 1902.02918), section 3.3: the training of networks that are to
    be smoothed.

    Args:
        sigma: Standard deviation, in units of pixels.
        after: Another augmentation, which comes first.
    """

    def change(x: Tensor, generator: torch.Generator) -> Tensor:
        x = x if after is None else after(x, generator)
        return x + sigma * torch.randn(x.shape, generator=generator)

    return change


AUGMENTS: dict[str, Augment] = {
    "shift": partial(crop, padding=1),
    "crop": crop,
    "crop_flip": crop_flip,
}


def iterate(data: Data, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Give checked batches, images float32 in [0, 1] and int64 labels, of any kind of data.

    Args:
        data: Images, an (images, labels) pair of tensors, a loader (or any iterable) of such
            pairs, or the name of a data set, whose test images are taken: ``"digits"``,
            ``"mnist:FOLDER"``.
        batch_size: Images a batch; a loader keeps its own.

    Raises:
        ValueError: If the data are not as the models need them; the message names the cure.
    """
    check_count("batch_size", batch_size)
    if isinstance(data, str):
        data = load(data, validation=0).test
    if isinstance(data, Images):
        return batches(data, batch_size)
    if isinstance(data, tuple | list) and len(data) == 2 and not isinstance(data[0], tuple | list):
        return _pairs(*check_batch(data[0], data[1], "data"), batch_size)
    if not isinstance(data, Iterable):
        raise ValueError(
            f"A {type(data).__name__} holds no examples; allowed are Images (load(...).test), an"
            " (images, labels) pair of tensors, a loader of such pairs, or a data set's name."
        )
    return _loaded(data)


def _pairs(x: Tensor, y: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    yield from zip(torch.split(x, size), torch.split(y, size), strict=True)


def _loaded(loader: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    for number, batch in enumerate(loader):
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise ValueError(
                f"A loader must give (images, labels) pairs; batch {number} is a"
                f" {type(batch).__name__}."
            )
        yield check_batch(batch[0], batch[1], f"batch {number}")

"""The examples that a model is judged on."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from advprune.data import Data, Images, iterate


@dataclass(frozen=True, eq=False)
class Sample:
    """Examples in memory, all of a data set or some of them.

    Attributes:
        x: Images, (examples, channels, height, width), float32 in [0, 1].
        y: True classes, (examples,), int64.
        indices: Where each stood in the data set, (examples,), ascending.
        whole: Examples in the data set.
        hash: SHA-256 of these images and labels.
    """

    x: Tensor
    y: Tensor
    indices: Tensor
    whole: int
    hash: str

    def __len__(self) -> int:
        return len(self.y)


def gather(data: Data, batch_size: int, *, subset: int | None, seed: int) -> Sample:
    """Read a data set, or a seeded part of it in which classes keep their shares.

    Args:
        data: Images, an (images, labels) pair, a loader of such pairs, or a data set's name.
        batch_size: Images read at a time.
        subset: Number of examples to draw; None takes all.
        seed: Seed of the draw.

    Raises:
        ValueError: If there is no example, or the subset does not fit.
    """
    batches = list(iterate(data, batch_size))
    if not sum(len(y) for _, y in batches):
        raise ValueError("the data hold no example; at least one is needed")
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    indices = torch.arange(len(y)) if subset is None else stratified(y, subset, seed)
    chosen = Images(x[indices], y[indices], _classes(y), "data")
    return Sample(chosen.x, chosen.y, indices, len(y), chosen.fingerprint())


def stratified(y: Tensor, number: int, seed: int) -> Tensor:
    """Draw examples so that each class keeps its share, to one example.

    Each class is shuffled and its examples are spread evenly over [0, 1); the `number` smallest
    positions are drawn.

    Args:
        y: Classes, (examples,).
        number: Examples to draw.
        seed: Seed of the draw.

    Returns:
        Their indices, ascending.

    Raises:
        ValueError: If there are not that many.
    """
    if not 1 <= number <= len(y):
        raise ValueError(f"subset={number}; allowed are 1 to {len(y)}, the examples there are")
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(y), generator=generator)
    position = torch.empty(len(y), dtype=torch.float64)
    for label in range(int(y.max()) + 1):
        members = shuffled[y[shuffled] == label]
        offset = torch.rand(1, generator=generator, dtype=torch.float64)
        position[members] = (torch.arange(len(members)) + offset) / max(len(members), 1)
    return position.argsort()[:number].sort().values


def model_hash(model: nn.Module) -> str:
    """SHA-256 (hex) over names, shapes, types and bytes of a model's parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(memoryview(flat.view(torch.uint8).numpy()))
    return digest.hexdigest()


def _classes(y: Tensor) -> tuple[str, ...]:
    return tuple(str(label) for label in range(int(y.max()) + 1))

"""The examples that a model is judged on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from advprune.data import Data, Images, iterate
from advprune.data.splitting import stratified


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
    if subset is not None and not 1 <= subset <= len(y):
        raise ValueError(f"subset={subset}; allowed are 1 to {len(y)}, the examples there are")
    indices = torch.arange(len(y)) if subset is None else stratified(y, subset, seed)[1]
    return _chosen(x, y, indices)


def regather(data: Data, batch_size: int, indices: Sequence[int] | None) -> Sample:
    """Read the examples that an earlier sample took, all where `indices` is None.

    Raises:
        ValueError: If the data are too few.
    """
    whole = gather(data, batch_size, subset=None, seed=0)
    if indices is None:
        return whole
    if not all(0 <= index < len(whole) for index in indices):
        raise ValueError(f"examples {min(indices)} to {max(indices)} of {len(whole)}: other data")
    return _chosen(whole.x, whole.y, torch.tensor(indices, dtype=torch.int64))


def _chosen(x: Tensor, y: Tensor, indices: Tensor) -> Sample:
    chosen = Images(x[indices], y[indices], _classes(y), "data")
    return Sample(chosen.x, chosen.y, indices, len(y), chosen.fingerprint())


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

"""Saved models and exported files, timed side by side."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from advprune.models import evaluating
from advprune.shipping.folder import load
from advprune.shipping.latency import Latency, latency
from advprune.shipping.manifest import read_manifest
from advprune.shipping.runtime import RUNTIMES, Shipped
from advprune.shipping.zoo import locate


class Compiled(nn.Module):
    """A network compiled by `torch.compile` when it first meets a batch size."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.backend = f"torch {torch.__version__}, compiled"
        self._run = torch.compile(network, dynamic=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images."""
        logits: Tensor = self._run(images)
        return logits


def bench(
    files: Sequence[str],
    *,
    batch_sizes: Sequence[int] = (1, 100),
    threads: int = 1,
    rounds: int = 100,
    compiled: bool = True,
    trust_code: bool = False,
) -> dict[str, list[Latency]]:
    """Time saved models (torch, eager and compiled) and exported files, in turns.

    Args:
        files: Folders that `save` wrote, "zoo:NAME", and files that `export` wrote.
        batch_sizes: Images a pass; each size is timed by itself.
        threads: Threads of every runtime.
        rounds: Passes of each that are measured.
        compiled: Whether torch's networks are timed as `torch.compile` makes them as well; where
            it fails, as without a C++ compiler, a warning says why and the others are timed.
        trust_code: See `load`.

    Returns:
        The times at each batch size, by the file's name; a compiled network's ends in
        ", compiled".

    Raises:
        ValueError: If a file cannot be opened, none says how large its images are, or two do not
            agree.
    """
    networks: dict[str, nn.Module] = {}
    shapes: dict[tuple[int, ...], str] = {}
    for file in files:
        network, shape = _opened(file, threads, trust_code=trust_code)
        networks[file] = network
        if compiled and not isinstance(network, Shipped):
            networks[f"{file}, compiled"] = Compiled(network)
        if shape is not None:
            shapes.setdefault(tuple(shape), file)
    if len(shapes) != 1:
        told = ", ".join(f"{file}: {shape}" for shape, file in shapes.items()) or "none of them"
        raise ValueError(f"the files must say what one size their images have; {told}")
    images = torch.rand(1, *next(iter(shapes)), generator=torch.Generator().manual_seed(0))
    for name, reason in list(_not_compiled(networks, images, batch_sizes)):
        warnings.warn(f"{name}: left out, as torch.compile fails: {reason}", stacklevel=2)
        del networks[name]
    found: dict[str, list[Latency]] = {name: [] for name in networks}
    for size in batch_sizes:
        times = latency(networks, images, batch_size=size, threads=threads, rounds=rounds)
        for name, time in times.items():
            found[name].append(time)
    return found


def _opened(file: str, threads: int, *, trust_code: bool) -> tuple[nn.Module, list[int] | None]:
    """A network, and the shape of its images where it says."""
    if Path(file).suffix in RUNTIMES:
        shipped = Shipped(file, threads=threads)
        return shipped, shipped.metadata.get("input_shape")
    return load(file, trust_code=trust_code), read_manifest(locate(file)).input_shape


def _not_compiled(
    networks: dict[str, nn.Module], images: Tensor, batch_sizes: Sequence[int]
) -> Iterator[tuple[str, str]]:
    """The networks that torch cannot compile, and why; the others are compiled when this ends."""
    for name, network in networks.items():
        if not isinstance(network, Compiled):
            continue
        try:
            with evaluating(network), torch.inference_mode():
                for size in batch_sizes:
                    network(images.expand(size, -1, -1, -1).contiguous())
        except Exception as error:  # dynamo, inductor and the compiler each have their own
            yield name, str(error).strip().partition("\n")[0]

"""How long a network takes for one forward pass, measured beside others."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from advprune.choices import check_count
from advprune.evaluation.environment import processor
from advprune.models.timing import Clock, seconds_in_turns
from advprune.shipping.runtime import Shipped


@dataclass(frozen=True)
class Latency:
    """Time of one forward pass.

    Attributes:
        median_ms: Median in milliseconds.
        p10_ms: A tenth of the passes were faster.
        p90_ms: A tenth of the passes were slower.
        batch: Images a pass.
        threads: Threads that torch used.
        rounds: Passes measured.
        processor: Model of the processor.
        backend: What ran the network.
    """

    median_ms: float
    p10_ms: float
    p90_ms: float
    batch: int
    threads: int
    rounds: int
    processor: str
    backend: str

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain JSON values."""
        return asdict(self)


def latency(
    models: Mapping[str, nn.Module],
    example_input: Tensor,
    *,
    batch_size: int = 1,
    threads: int = 1,
    rounds: int = 100,
    warmup: int = 10,
    clock: Clock = time.perf_counter,
) -> dict[str, Latency]:
    """Time the forward passes of several networks in turns, so that drift meets all alike.

    Args:
        models: The networks by name, on the CPU; each runs in evaluation mode and gets its mode
            back. An attribute `backend` says what runs one that is not torch's eager mode, and
            then has its own threads. Of an exported file the runtime alone is timed, its images
            handed over before.
        example_input: (batch, channels, height, width), any batch size; its images are repeated.
        batch_size: Images a pass.
        threads: Threads for torch meanwhile; the number from before is restored.
        rounds: Passes of each network that are measured.
        warmup: Passes of each network before that.
        clock: Seconds; `time.process_time` counts only what the processor spends on this process,
            all threads together, which programs beside it disturb little.

    Returns:
        The times of each network by its name.

    Raises:
        ValueError: If a number is not positive, or there is no network or no image.
    """
    _check(models, example_input, batch_size=batch_size, threads=threads, rounds=rounds)
    images = example_input[torch.arange(batch_size) % len(example_input)]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        passes = {name: _prepared(model, images) for name, model in models.items()}
        seconds = seconds_in_turns(models, passes, rounds=rounds, warmup=warmup, clock=clock)
    finally:
        torch.set_num_threads(before)
    return {
        name: _summary(
            seconds[name],
            batch=batch_size,
            threads=threads,
            backend=getattr(model, "backend", f"torch {torch.__version__}, eager"),
        )
        for name, model in models.items()
    }


def _check(models: Mapping[str, nn.Module], example_input: Tensor, **counts: int) -> None:
    if not models or not len(example_input):
        raise ValueError("latency needs at least one network and one image")
    for name, count in counts.items():
        check_count(name, count)


def _prepared(model: nn.Module, images: Tensor) -> Callable[[], Any]:
    return model.prepared(images) if isinstance(model, Shipped) else partial(model, images)


def _summary(seconds: list[float], *, batch: int, threads: int, backend: str) -> Latency:
    p10, median, p90 = np.percentile(np.array(seconds) * 1e3, (10, 50, 90)).tolist()
    return Latency(
        median_ms=median,
        p10_ms=p10,
        p90_ms=p90,
        batch=batch,
        threads=threads,
        rounds=len(seconds),
        processor=processor(),
        backend=backend,
    )

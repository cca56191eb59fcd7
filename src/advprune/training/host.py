"""The training host: Lightning Fabric's device and precision, and the global state training needs.

Random state, thread count and kernel flags are global in torch; they are set here for the time
of a run and put back afterwards.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from lightning_fabric import Fabric

from advprune.training.parts import Precision
from advprune.training.settings import Training

_PRECISION: dict[Precision, Literal["32-true", "bf16-mixed"]] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
}


def fabric(settings: Training) -> Fabric:
    """The device and precision that the settings ask for.

    Raises:
        ValueError: This machine has no such device.
    """
    precision = _PRECISION[settings.precision]
    try:
        return Fabric(accelerator=settings.device, devices=1, precision=precision)
    except RuntimeError as error:
        raise ValueError(
            f"training.device = {settings.device!r}: this machine has none; allowed are 'auto' and"
            " 'cpu'"
        ) from error


@contextmanager
def prepared(settings: Training, threads: int | None) -> Iterator[None]:
    """Sets seed, threads and deterministic kernels, and puts all of them back on leaving.

    Args:
        settings: Of the run.
        threads: As kept in a checkpoint; sums are added up in another order by another number.

    Raises:
        RuntimeError: torch does not take that number of threads.
    """
    threads_before = torch.get_num_threads()
    flags_before = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        _set_threads(threads or settings.threads or threads_before)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = flags_before


def numerics() -> dict[str, Any]:
    """What decides the last bit of a result, besides data, settings and random state."""
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkldnn": torch.backends.mkldnn.enabled,
        "matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
    }


def differences(kept: Mapping[str, Any]) -> list[str]:
    """In words, what of ``numerics`` is not as it was when a checkpoint was written."""
    now = numerics()
    return [f"{key} was {kept.get(key)}, is {now[key]}" for key in now if kept.get(key) != now[key]]


def _set_threads(threads: int) -> None:
    torch.set_num_threads(threads)
    if torch.get_num_threads() != threads:
        raise RuntimeError(f"torch runs {torch.get_num_threads()} threads instead of {threads}")

"""Where a benchmark's figures were made, and what that machine can do."""

import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from advprune.evaluation import environment

PRODUCT = 1024
"""Side of the square matrices whose product gives the machine's limit."""


def machine(*packages: str) -> dict[str, Any]:
    """The environment, the processor's wide instructions, and the versions of other packages."""
    return {
        **environment(),
        "avx512": _has("avx512f"),
        "amx": _has("amx_tile"),
        "packages": {name: version(name) for name in packages},
    }


def short(model: str) -> str:
    """What a result calls a saved model: the end of its path, so that no folder is given away."""
    return "/".join(Path(model).parts[-2:])


def timed(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a call gives, and its seconds by the clock and of the processor (all threads)."""
    clock, processor = time.perf_counter(), time.process_time()
    found = call()
    return found, {
        "clock": time.perf_counter() - clock,
        "processor": time.process_time() - processor,
    }


def limit() -> float:
    """Floating-point operations a processor second in a product of matrices, the best of 5."""
    one, other = torch.rand(2, PRODUCT, PRODUCT)
    seconds = [timed(lambda: one @ other)[1]["processor"] for _ in range(6)][1:]
    return float(2 * PRODUCT**3 / min(seconds))


def _has(flag: str) -> bool | None:
    """Whether the processor lists that flag; None where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    flags = [line.partition(":")[2].split() for line in lines if line.startswith("flags")]
    return flag in flags[0] if flags else None

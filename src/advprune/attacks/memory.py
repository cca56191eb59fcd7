"""Memory that is freed and wanted again at every step."""

from functools import cache

import torch

LARGEST = 32_000_000
"""Bytes, just below the largest block from which glibc learns (32 MiB)."""


@cache
def keep_freed_memory() -> None:
    """Lets the C library keep what tensors free, for the next ones, instead of giving it back.

    glibc maps blocks above a threshold from the system, and gives them back when freed; each new
    one is then filled by page faults, 4 KiB at a time, which can take longer than computing what
    stands in it. The threshold rises to the largest mapped block that it has seen freed, and what
    it keeps on its heap to twice that. Nothing is written to the block here, so that it costs no
    memory. Elsewhere there is no effect. Source: `mallopt(3)`, M_MMAP_THRESHOLD.
    """
    torch.empty(LARGEST, dtype=torch.uint8)

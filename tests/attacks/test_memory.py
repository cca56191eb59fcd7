import platform

import pytest
import torch

from advprune.attacks.memory import LARGEST, keep_freed_memory

resource = pytest.importorskip("resource")
PAGE = 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_tensor_as_large_as_one_freed_before_costs_no_new_pages() -> None:
    keep_freed_memory()

    def faults() -> int:
        before: int = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(LARGEST // 8, dtype=torch.uint8)
        after: int = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        return after - before

    faults()
    assert min(faults() for _ in range(5)) < LARGEST // 8 / PAGE / 10

from collections.abc import Callable

import pytest
import torch

from advprune.training import Training, host

MakeSettings = Callable[..., Training]


def _flags() -> tuple[int, bool, bool]:
    return (
        torch.get_num_threads(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
    )


@pytest.mark.parametrize(("kept", "inside"), [(None, 1), (2, 2)])
def test_the_threads_of_a_checkpoint_come_before_those_of_the_settings(
    make_settings: MakeSettings, kept: int | None, inside: int
) -> None:
    with host.prepared(make_settings({}, threads=1), kept):
        assert torch.get_num_threads() == inside


def test_seed_threads_and_kernels_are_put_back_after_an_error(make_settings: MakeSettings) -> None:
    state, flags, seen = torch.get_rng_state(), _flags(), []

    def fail() -> None:
        with host.prepared(make_settings({}, seed=3), flags[0] + 1):
            seen.append((torch.initial_seed(), *_flags()))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert seen == [(3, flags[0] + 1, True, False)]
    assert torch.equal(torch.get_rng_state(), state)
    assert _flags() == flags


def test_what_decides_the_last_bit_is_compared_in_words() -> None:
    now = host.numerics()
    assert host.differences(now) == []
    kept = {**now, "matmul_precision": "medium", "mkldnn": None}
    assert host.differences(kept) == [
        f"mkldnn was None, is {now['mkldnn']}",
        "matmul_precision was medium, is highest",
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_a_device_that_is_not_there_is_refused(make_settings: MakeSettings) -> None:
    with pytest.raises(ValueError, match=r"training.device = 'cuda': this machine has none"):
        host.fabric(make_settings({}, device="cuda"))

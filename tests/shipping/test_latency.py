import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advprune.shipping import Shipped, export, latency

IMAGE = torch.zeros(1, 1, 2, 2)


class Slow(nn.Module):
    """Takes the given time, and notes how many images it saw with how many threads."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.calls: list[tuple[int, int, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append((len(x), torch.get_num_threads(), self.training))
        time.sleep(self.seconds)
        return x


def test_the_slower_network_takes_longer() -> None:
    times = latency({"slow": Slow(0.01), "fast": Slow(0)}, IMAGE, rounds=5, warmup=1)
    assert 10 <= times["slow"].p10_ms <= times["slow"].median_ms <= times["slow"].p90_ms
    assert times["fast"].median_ms < times["slow"].median_ms


def test_passes_use_the_batch_size_and_threads_asked_for_and_restore_the_rest() -> None:
    model = Slow(0).train()
    before = torch.get_num_threads()
    times = latency({"it": model}, IMAGE, batch_size=3, threads=before + 1, rounds=2, warmup=1)
    assert model.calls == [(3, before + 1, False)] * 3
    assert (times["it"].batch, times["it"].threads, times["it"].rounds) == (3, before + 1, 2)
    assert torch.get_num_threads() == before
    assert model.training


def test_networks_run_in_turns() -> None:
    order: list[str] = []
    models: dict[str, nn.Module] = {name: Slow(0) for name in "ab"}
    for name, model in models.items():
        model.register_forward_hook(lambda *_, name=name: order.append(name))
    latency(models, IMAGE, rounds=3, warmup=0)
    assert order == list("ababab")


@pytest.mark.parametrize("setting", ["batch_size", "threads", "rounds"])
def test_numbers_below_one_are_refused(setting: str) -> None:
    settings: dict[str, Any] = {setting: 0}
    with pytest.raises(ValueError, match=f"{setting}=0"):
        latency({"it": Slow(0)}, IMAGE, **settings)


def test_seconds_are_those_of_the_clock_that_is_given() -> None:
    ticks = iter([0.0, 1.0, 10.0, 12.0, 20.0, 23.0])
    times = latency({"it": Slow(0)}, IMAGE, rounds=3, warmup=0, clock=lambda: next(ticks))
    assert (times["it"].p10_ms, times["it"].median_ms, times["it"].p90_ms) == (1200, 2000, 2800)


def test_of_an_exported_file_the_runtime_alone_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export(nn.Flatten(), tmp_path / "net.onnx", torch.rand(2, 1, 2, 2)).path
    monkeypatch.delattr(Shipped, "forward")
    found = latency({"file": Shipped(path)}, IMAGE, batch_size=3, rounds=2, warmup=0)["file"]
    assert (found.batch, found.backend.split()[:2]) == (3, ["ONNX", "Runtime"])

import time
from functools import partial

import torch
from torch import Tensor, nn

from advprune.models.timing import seconds_in_turns


class Slow(nn.Module):
    def __init__(self, seconds: float, order: list[float]) -> None:
        super().__init__()
        self.seconds, self.order = seconds, order

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        self.order.append(self.seconds)
        time.sleep(self.seconds)
        return x


def test_networks_run_in_turns_and_only_what_follows_the_warm_up_counts() -> None:
    order: list[float] = []
    networks = {"slow": Slow(0.01, order), "fast": Slow(0.0, order)}
    passes = {name: partial(network, torch.zeros(1, 1)) for name, network in networks.items()}
    taken = seconds_in_turns(networks, passes, rounds=3, warmup=2)
    assert order == [0.01, 0.0] * 5
    assert [len(taken[name]) for name in ("slow", "fast")] == [3, 3]
    assert min(taken["slow"]) >= 0.01
    assert networks["slow"].training

"""How long forward passes take, measured in turns."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from advprune.models.modes import evaluating

Clock = Callable[[], float]
"""Gives seconds: `time.perf_counter`, or `time.process_time`, which other programs disturb less."""


def seconds_in_turns(
    networks: Mapping[str, nn.Module],
    passes: Mapping[str, Callable[[], Any]],
    *,
    rounds: int,
    warmup: int,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Time forward passes in turns, so that the machine's drift meets all networks alike.

    Args:
        networks: By name, on the CPU; each runs in evaluation mode and gets its mode back.
        passes: What is timed of each, by the same name.
        rounds: Passes of each network that are measured.
        warmup: Passes of each network before that.
        clock: What tells the time.

    Returns:
        Seconds of each measured pass, (rounds,), by name; equal places were measured together.
    """
    taken = [
        {name: _seconds(network, passes[name], clock) for name, network in networks.items()}
        for _ in range(warmup + rounds)
    ]
    return {name: [times[name] for times in taken[warmup:]] for name in networks}


def _seconds(network: nn.Module, one_pass: Callable[[], Any], clock: Clock) -> float:
    with evaluating(network), torch.inference_mode():
        start = clock()
        one_pass()
        return clock() - start

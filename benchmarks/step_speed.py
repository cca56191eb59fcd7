"""What pruning saves while it trains: one whole ANP-VS step, dense against mostly pruned.

    python benchmarks/step_speed.py --out benchmarks/results/step_speed.json

LeNet-5-Caffe with all 1,370 gates open against the same with 84 % of its units removed from all
passes (4-23-120-71 stay), in turns in one run: the whole step (attack, both losses, both gradients,
both optimisers) with 7 and 20 attack steps, the attack alone, and the forward pass of what ships.
"""

import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch
from machine import machine
from torch import Tensor, nn

from advprune.attacks import PGD
from advprune.evaluation import write_json
from advprune.gates import CurrentNetwork, GatedModel, gate, remove
from advprune.models import build
from advprune.objectives import OBJECTIVES, Batch, Coefficients
from advprune.pruning import slim
from advprune.threat import ThreatModel

KEPT = {"conv1": 4, "conv2": 23, "f1": 71, "f1.inputs": 120}
POSITIONS = 16
THREAT = ThreatModel("linf", 0.3)


@click.command()
@click.option("--out", required=True, type=Path)
@click.option("--rounds", default=15, show_default=True)
@click.option("--batch", default=128, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(out: Path, rounds: int, batch: int, threads: int) -> None:
    """Measures all pairs and writes their ratios."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    x, y = torch.rand(batch, 1, 28, 28), torch.randint(0, 10, (batch,))
    dense = gate(build("lenet5_caffe"), x, per_position=("f1",)).train()
    pruned = copy.deepcopy(dense)
    _prune(pruned)
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        f"step, {steps} attack steps": (_step(dense, x, y, steps), _step(pruned, x, y, steps))
        for steps in (7, 20)
    }
    pairs["attack, 20 steps"] = (_attack(dense, x, y, 20), _attack(pruned, x, y, 20))
    plain, small = build("lenet5_caffe").eval(), slim(pruned, x).eval()
    pairs["forward of what ships"] = (_forward(plain, x), _forward(small, x))
    pairs["forward of what ships, 1 image"] = (_forward(plain, x[:1]), _forward(small, x[:1]))
    found = {name: _ratio(*pair, rounds) for name, pair in pairs.items()}
    for name, figures in found.items():
        click.echo(f"{name}: {figures['ratio_median']:.2f}x faster")
    environment = machine()
    write_json(
        out,
        {"batch": batch, "threads": threads, "kept": KEPT, "pairs": found, "machine": environment},
    )


def _prune(gated: GatedModel) -> None:
    """Closes all but the first units of each group, and positions of every channel that stays."""
    for name, gates in gated.gates.items():
        number = torch.arange(gates.units)
        if name == "f1.inputs":  # one position of each channel after another
            number = number % POSITIONS * KEPT["conv2"] + number // POSITIONS
            number[KEPT["conv2"] * POSITIONS :] = gates.units
        gates.close(number >= KEPT[name])
    remove(gated, gated.keep())
    kept = gated.structure.split(gated.keep())
    assert {name: int(units.sum()) for name, units in kept.items()} == KEPT


def _step(gated: GatedModel, x: Tensor, y: Tensor, steps: int) -> Callable[[], object]:
    current = CurrentNetwork(gated)
    attack = _pgd(steps)
    weights, gates = gated.weight_parameters(), gated.gate_parameters()
    optimisers = (torch.optim.Adam(weights, lr=0.0), torch.optim.Adam(gates, lr=0.0))
    coefficients = Coefficients(vulnerability_weight=0.1, beta=4, examples=55_000)

    def adversary(images: Tensor, labels: Tensor, away_from: object = None) -> Tensor:
        del away_from
        return attack(current.refreshed(), images, labels)

    def step() -> None:
        losses = OBJECTIVES["anp"](gated, Batch(x, y), adversary, coefficients)
        assert losses.gates is not None
        found = torch.autograd.grad(losses.weights, weights, retain_graph=True)
        for group, gradients in (
            (weights, found),
            (gates, torch.autograd.grad(losses.gates, gates)),
        ):
            for parameter, gradient in zip(group, gradients, strict=True):
                parameter.grad = gradient
        for optimiser in optimisers:
            optimiser.step()

    return step


def _attack(gated: GatedModel, x: Tensor, y: Tensor, steps: int) -> Callable[[], object]:
    network, attack = CurrentNetwork(gated).refreshed(), _pgd(steps)
    return lambda: attack(network, x, y)


def _pgd(steps: int) -> PGD:
    return PGD(THREAT, steps=steps, stop_when_fooled=False, keep="last")


def _forward(model: nn.Module, x: Tensor) -> Callable[[], object]:
    def forward() -> Tensor:
        with torch.inference_mode():
            result: Tensor = model(x)
        return result

    return forward


def _ratio(
    dense: Callable[[], object], pruned: Callable[[], object], rounds: int
) -> dict[str, float]:
    """Times both in turns, after one round that does not count."""
    pairs = [(_seconds(dense), _seconds(pruned)) for _ in range(rounds + 1)][1:]
    ratios = sorted(slow / fast for slow, fast in pairs)
    return {
        "ratio_median": statistics.median(ratios),
        "ratio_min": ratios[0],
        "ratio_max": ratios[-1],
        "dense_ms_median": 1e3 * statistics.median(slow for slow, _ in pairs),
        "pruned_ms_median": 1e3 * statistics.median(fast for _, fast in pairs),
    }


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

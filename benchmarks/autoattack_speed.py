"""The suite "standard", checks included, against the reference's AutoAttack.

Whole calls on the same network and images, in turns; which images each leaves right; and how many
floating-point operations a second ours reaches, beside a matrix product's.

    .venv-bench/bin/python benchmarks/autoattack_speed.py MODEL --data mnist:FOLDER --out FILE

MODEL is a folder with a saved model, or zoo:NAME.
"""

import json
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from machine import machine, short
from torch import Tensor, nn

from advprune.data import load
from advprune.data.splitting import stratified
from advprune.evaluation import Result, cost, evaluate, write_json
from advprune.shipping import load as load_model
from advprune.threat import ThreatModel

PRODUCT = 1024
"""Side of the square matrices whose product gives the machine's limit."""


def reference(
    model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel, batch: int, seed: int
) -> Tensor:
    """Which images AutoAttack's standard version leaves right, (images,) bool."""
    suite = import_module("pyautoattack").AutoAttack(
        model, norm=threat.norm.capitalize(), eps=threat.eps, seed=seed, version="standard"
    )
    x_adv = suite.run_standard_evaluation(x, y, batch_size=batch)[0]
    with torch.no_grad():
        right: Tensor = model(x_adv).argmax(1) == y
    return right


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


def work(result: Result, macs: int) -> dict[str, dict[str, float]]:
    """Seconds and operations a second of each attack; a gradient of images is one pass more."""
    return {
        name: {
            "seconds": figure.seconds,
            "examples": figure.examples,
            "accuracy": figure.accuracy,
            "flops": 2 * macs * (figure.forward_passes + figure.backward_passes) / figure.seconds,
        }
        for name, figure in result.attacks.items()
    }


def race(
    model: nn.Module,
    images: tuple[Tensor, Tensor],
    threat: ThreatModel,
    *,
    batches: tuple[int, int],
    rounds: int,
    seed: int,
) -> dict[str, Any]:
    """Both in turns; medians, verdicts and where our time goes."""
    x, y = images
    calls: dict[str, Callable[[], Any]] = {
        "ours": lambda: evaluate(
            model, images, threat, "standard", seed=seed, batch_size=batches[0]
        ),
        "reference": lambda: reference(model, x, y, threat, batches[1], seed),
    }
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in calls}
    found: dict[str, Any] = {}
    for _ in range(rounds):
        for name, call in calls.items():
            found[name], seconds = timed(call)
            taken[name].append(seconds)
            click.echo(f"{name}: {json.dumps(seconds)}", err=True)
    survivors: Tensor = found["ours"].survivors
    medians = {
        name: {kind: median(each[kind] for each in turns) for kind in ("clock", "processor")}
        for name, turns in taken.items()
    }
    peak = limit()
    attacks = work(found["ours"], cost(model, x).macs)
    return {
        "seconds": taken,
        "ratio": {
            kind: medians["reference"][kind] / medians["ours"][kind]
            for kind in ("clock", "processor")
        },
        "survivors": {
            "ours": int(survivors.sum()),
            "reference": int(found["reference"].sum()),
            "only ours": int((survivors & ~found["reference"]).sum()),
            "only reference": int((~survivors & found["reference"]).sum()),
        },
        "attacks": attacks,
        "limit_flops": peak,
    }


@click.command(help=__doc__)
@click.argument("source", metavar="MODEL")
@click.option("--data", required=True, help="Data set, such as mnist:FOLDER.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--images", "number", default=200, show_default=True, help="Random test images.")
@click.option("--norm", type=click.Choice(["linf", "l2"]), default="linf", show_default=True)
@click.option("--eps", default="0.3", show_default=True)
@click.option("--batch", default=128, show_default=True, help="Images a batch, ours.")
@click.option("--reference-batch", default=250, show_default=True, help="Its own default.")
@click.option("--threads", type=int, multiple=True, default=(1, 2), show_default=True)
@click.option("--rounds", default=2, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(
    source: str,
    data: str,
    out: Path,
    number: int,
    norm: str,
    eps: str,
    batch: int,
    reference_batch: int,
    threads: tuple[int, ...],
    rounds: int,
    seed: int,
) -> None:
    """See the module's text."""
    threat = ThreatModel(norm, eps)
    test = load(data).test
    images = test.subset(stratified(test.y, number, seed)[1])
    model = load_model(source).eval().requires_grad_(requires_grad=False)
    results = {}
    for count in threads:
        torch.set_num_threads(count)
        results[f"threads={count}"] = race(
            model,
            images.tensors(),
            threat,
            batches=(batch, reference_batch),
            rounds=rounds,
            seed=seed,
        )
    report = {
        "benchmark": "the suite standard, checks included, and the reference's AutoAttack",
        "model": short(source),
        "data": {"name": images.name, "images": number, "sha256": images.fingerprint()},
        "threat": {"norm": norm, "eps": threat.eps},
        "batch": {"ours": batch, "reference": reference_batch},
        "rounds": rounds,
        "seed": seed,
        "machine": machine("pyautoattack"),
        "results": results,
    }
    write_json(out, report)
    for setting, result in results.items():
        click.echo(f"{setting}: {json.dumps(result['ratio'])} {json.dumps(result['survivors'])}")


if __name__ == "__main__":
    main()

"""The suite "standard", checks included, against the reference's AutoAttack.

Whole calls on the same network and images, in turns, each in a process of its own so that neither
inherits the other's memory; which images each leaves right; and how many floating-point operations
a second ours reaches, beside a matrix product's.

    .venv-bench/bin/python benchmarks/autoattack_speed.py MODEL --data mnist:FOLDER --out FILE

MODEL is a folder with a saved model, or zoo:NAME.
"""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from machine import limit, machine, short, timed
from torch import Tensor, nn

from advprune.data import Images, load
from advprune.data.splitting import stratified
from advprune.evaluation import Result, cost, evaluate, write_json
from advprune.shipping import load as load_model
from advprune.threat import ThreatModel


@dataclass(frozen=True)
class Task:
    """What both attack; `batches` are images a batch, ours and the reference's."""

    model: str
    data: str
    images: int
    norm: str
    eps: str
    batches: tuple[int, int]
    threads: int
    seed: int

    def threat(self) -> ThreatModel:
        """What the attacker may do."""
        return ThreatModel(self.norm, self.eps)

    def load(self) -> tuple[nn.Module, Images]:
        """The model, ready to be attacked by as many threads as told, and the images."""
        torch.set_num_threads(self.threads)
        test = load(self.data).test
        images = test.subset(stratified(test.y, self.images, self.seed)[1])
        return load_model(self.model).eval().requires_grad_(requires_grad=False), images


def ours(task: Task) -> dict[str, Any]:
    """Seconds, which images are left right, and where the seconds went."""
    model, images = task.load()
    x, y = images.tensors()
    result, seconds = timed(
        lambda: evaluate(
            model, (x, y), task.threat(), "standard", seed=task.seed, batch_size=task.batches[0]
        )
    )
    attacks = work(result, cost(model, x).macs)
    return {"seconds": seconds, "right": result.survivors.tolist(), "attacks": attacks}


def reference(task: Task) -> dict[str, Any]:
    """Seconds, and which images AutoAttack's standard version leaves right."""
    model, images = task.load()
    x, y = images.tensors()
    suite = import_module("pyautoattack").AutoAttack(
        model,
        norm=task.norm.capitalize(),
        eps=task.threat().eps,
        seed=task.seed,
        version="standard",
    )
    found, seconds = timed(
        lambda: suite.run_standard_evaluation(x, y, batch_size=task.batches[1])[0]
    )
    with torch.no_grad():
        right: Tensor = model(found).argmax(1) == y
    return {"seconds": seconds, "right": right.tolist()}


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


def race(task: Task, rounds: int) -> dict[str, Any]:
    """Both in turns; medians, verdicts and where our time goes."""
    taken: dict[str, list[dict[str, float]]] = {"ours": [], "reference": []}
    found: dict[str, dict[str, Any]] = {}
    for _ in range(rounds):
        for call in (ours, reference):
            name = call.__name__
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                found[name] = process.submit(call, task).result()
            taken[name].append(found[name]["seconds"])
            click.echo(f"{name}: {json.dumps(taken[name][-1])}", err=True)
    left, others = (found[name]["right"] for name in taken)
    ratio = {
        kind: median(one[kind] for one in taken["reference"])
        / median(one[kind] for one in taken["ours"])
        for kind in ("clock", "processor")
    }
    pairs = list(zip(left, others, strict=True))
    return {
        "seconds": taken,
        "ratio": ratio,
        "survivors": {
            "ours": sum(left),
            "reference": sum(others),
            "only ours": sum(one and not other for one, other in pairs),
            "only reference": sum(other and not one for one, other in pairs),
        },
        "attacks": found["ours"]["attacks"],
        "limit_flops": limit(),
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
    results = {}
    for count in threads:
        torch.set_num_threads(count)
        task = Task(source, data, number, norm, eps, (batch, reference_batch), count, seed)
        results[f"threads={count}"] = race(task, rounds)
    images = task.load()[1]
    report = {
        "benchmark": "the suite standard, checks included, and the reference's AutoAttack",
        "model": short(source),
        "data": {"name": images.name, "images": number, "sha256": images.fingerprint()},
        "threat": {"norm": norm, "eps": task.threat().eps},
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

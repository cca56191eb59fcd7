"""Certificates on MNIST: what is proven of a network, at what cost, slim against dense.

    python benchmarks/certificates.py judge NAME MODEL --data mnist:FOLDER
    python benchmarks/certificates.py speed SLIM DENSE --data mnist:FOLDER
    python benchmarks/certificates.py longer runs/mnist-crown-ibp --data FOLDER

`judge` certifies a saved network at eps 0.3 (intervals on all test images, CROWN-IBP and the suite
quick on 1,000 of them) and at eps 0.1 (all of that and the complete check on 100), and writes
benchmarks/results/certificates/NAME.json. `speed` times each bound on the same images for two
networks in turns. `longer` trains the network of the recipe mnist-crown-ibp on, and writes it
beside it; killed, the same command goes on. Nothing is chosen on the test images.
"""

import time
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from machine import machine, short
from torch import nn

from advprune import certificates, data, pruning, shipping, training
from advprune.bounds import Region, margin_bounds, network
from advprune.evaluation import write_json
from advprune.evaluation.cost import cost
from advprune.threat import ThreatModel
from advprune.training import Training

RESULTS = Path(__file__).parent / "results" / "certificates"
WIDE, NARROW = ThreatModel("linf", 0.3), ThreatModel("linf", 0.1)
SECONDS = 20.0
"""Time of the complete check for each image."""


@click.group()
def main() -> None:
    """Certifies, times and trains the networks of docs/certificates.md."""
    torch.set_num_threads(1)


@main.command()
@click.argument("name")
@click.argument("model")
@click.option("--data", "source", required=True, help="mnist:FOLDER")
def judge(name: str, model: str, source: str) -> None:
    """Certifies a saved network and writes down what is proven."""
    net, test = shipping.load(model), _test(source)
    certify = certificates.certify
    options = {"complete": {"seconds": SECONDS}}
    found = {
        "eps 0.3, all": certify(net, test, WIDE, "ibp", suite=None),
        "eps 0.3": certify(net, test, WIDE, ["ibp", "crown_ibp"], subset=1000),
        "eps 0.1": certify(
            net, test, NARROW, ["ibp", "crown_ibp", "complete"], options=options, subset=100
        ),
    }
    for certified in found.values():
        click.echo(str(certified))
    content: dict[str, Any] = {"model": short(model), "macs": _macs(net), "machine": machine()}
    content |= {key: certified.to_dict() for key, certified in found.items()}
    click.echo(f"Written: {write_json(RESULTS / f'{name}.json', content)}")


@main.command()
@click.argument("slim")
@click.argument("dense")
@click.option("--data", "source", required=True, help="mnist:FOLDER")
@click.option("--images", default=4, show_default=True, help="Of CROWN; intervals take 25x that.")
@click.option("--rounds", default=3, show_default=True, help="Times that all is timed.")
def speed(slim: str, dense: str, source: str, images: int, rounds: int) -> None:
    """Times bounds at eps 0.1 for two networks in turns, seconds an image."""
    nets = {"slim": shipping.load(slim), "dense": shipping.load(dense)}
    x, y = _test(source).subset(range(25 * images)).tensors()
    taken: dict[str, dict[str, list[float]]] = {name: {} for name in nets}
    for _ in range(rounds):
        for bound, count in (("ibp", len(x)), ("crown_ibp", len(x)), ("crown", images)):
            for name, net in nets.items():
                seconds = _timed(net, x[:count], y[:count], bound)
                taken[name].setdefault(bound, []).append(seconds)
    found = {
        name: {"model": short(path), "macs": _macs(net), "seconds_per_image": taken[name]}
        for (name, net), path in zip(nets.items(), (slim, dense), strict=True)
    }
    for bound in taken["slim"]:
        ends = [1000 * median(taken[name][bound]) for name in nets]
        click.echo(f"{bound}: slim {ends[0]:.2f} ms, dense {ends[1]:.2f} ms an image")
    content = {"eps": NARROW.eps, "images": images, **found, "machine": machine()}
    click.echo(f"Written: {write_json(RESULTS / 'speed.json', content)}")


@main.command()
@click.argument("run", type=Path)
@click.option("--data", "folder", required=True, help="Folder of the IDX files.")
@click.option("--epochs", default=16, show_default=True)
def longer(run: Path, folder: str, epochs: int) -> None:
    """Trains a run's slim network on with interval bounds, into RUN-longer."""
    out = run.with_name(f"{run.name}-longer")
    phase = {
        "name": "longer",
        "objective": "certified",
        "epochs": epochs,
        "learning_rate": 4e-3,
        "schedule": "one_cycle",
        "weight_decay": 0,
        "gradient_clip": 8,
        "average": 0.998,
    }
    settings = Training.model_validate(
        {"batch_size": 128, "threads": 1, "validation_attack_steps": 10, "phases": [phase]}
    )
    splits = data.load("mnist", path=folder, validation=5000)
    trained = training.train(
        shipping.load(run / "model").requires_grad_(True),
        splits,
        WIDE,
        settings,
        out=out,
        slim=pruning.slim,
        resume=True,
    )
    shipping.save(
        trained.model.cpu(),
        out / "model",
        input_shape=list(splits.train.x.shape[1:]),
        input_range=[0.0, 1.0],
        classes=list(splits.train.classes),
        threat={"norm": WIDE.norm, "eps": WIDE.eps},
    )
    click.echo(f"certified on validation images: {trained.best:.2%}, {trained.seconds:.0f} s")


def _test(source: str) -> data.Images:
    name, _, folder = source.partition(":")
    return data.load(name, path=folder or None, validation=0).test


def _macs(model: nn.Module) -> int:
    return cost(model, torch.zeros(1, 1, 28, 28)).macs


def _timed(model: nn.Module, x: torch.Tensor, y: torch.Tensor, bound: str) -> float:
    """Seconds of processor time an image; CROWN one by one, as it narrows each image's units."""
    size = 1 if bound == "crown" else len(x)
    with torch.no_grad():
        bounded = network(model, x[:1])
        began = time.process_time()
        for part, labels in zip(torch.split(x, size), torch.split(y, size), strict=True):
            margin_bounds(bounded, Region(part, NARROW), labels, 10, bound)
    return (time.process_time() - began) / len(x)


if __name__ == "__main__":
    main()

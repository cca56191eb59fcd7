"""Whether the torch twin of an int8 file answers as the file does, on all MNIST test images.

    python benchmarks/int8_agreement.py --data FOLDER --out benchmarks/results/int8_agreement.json

Each network of the zoo is quantised for ONNX Runtime and OpenVINO with 512 training images. The
twin of a file is what `advprune evaluate` takes its gradients from: its own graph, computed by
torch. They are compared on the test images, and on what PGD-20 makes of 1,000 random ones with the
twin's gradients, where answers are close calls; so is the network that was exported.
"""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import torch
from machine import machine
from torch import Tensor, nn

from advprune import data as sources
from advprune.attacks import PGD
from advprune.data.splitting import stratified
from advprune.evaluation import write_json
from advprune.shipping import Shipped, export, load, stand_in, zoo
from advprune.threat import ThreatModel

FILES = ("float32.onnx", "int8.onnx", "float32.xml", "int8.xml")
CALIBRATION, ATTACKED, BATCH, STEPS, SEED = 512, 1000, 500, 20, 0
THREAT = ThreatModel("linf", 0.3)


@click.command()
@click.option("--data", required=True, type=Path, help="Folder of MNIST's four files.")
@click.option("--out", required=True, type=Path)
def main(data: Path, out: Path) -> None:
    """Compares every file of every network with its twin and writes the shares."""
    splits = sources.load("mnist", path=data)
    drawn = stratified(splits.train.y, CALIBRATION, SEED)[1]
    training = splits.train.subset(drawn).tensors()[0]
    found = {name: _network(f"{zoo.PREFIX}{name}", training, splits.test) for name in zoo.names()}
    write_json(
        out,
        {
            "networks": found,
            "data": {"test": splits.test.fingerprint(), "images": len(splits.test)},
            "attacked": {"images": ATTACKED, "steps": STEPS, **asdict(THREAT)},
            "calibration": CALIBRATION,
            "seed": SEED,
            "machine": machine("onnxruntime", "openvino", "nncf"),
        },
    )


def _network(name: str, training: Tensor, test: sources.Images) -> dict[str, Any]:
    network, (x, y) = load(name), test.tensors()
    found: dict[str, Any] = {"torch": {"accuracy": _share(_classes(network, x), y)}}
    with tempfile.TemporaryDirectory() as folder:
        for file in FILES:
            calibration = training if file.startswith("int8") else None
            path = export(network, Path(folder, file), training, calibration=calibration).path
            found[file] = _compared(Shipped(path), stand_in(path), network, test)
            click.echo(f"{name} {file}: {found[file]}")
    return found


def _compared(
    file: Shipped, twin: nn.Module, network: nn.Module, test: sources.Images
) -> dict[str, Any]:
    """Accuracy of a file, and the shares of images that twin and network give the same class."""
    x, y = test.tensors()
    answers, drawn = _classes(file, x), test.subset(stratified(y, ATTACKED, SEED)[1])
    attack = PGD(THREAT, steps=STEPS, stop_when_fooled=False, keep="last")
    noise = torch.Generator().manual_seed(SEED)
    attacked = torch.cat(
        [attack(twin, *batch, generator=noise) for batch in sources.batches(drawn, BATCH)]
    )
    return {
        "accuracy": _share(answers, y),
        "twin": type(twin).__name__,
        "agreement": _share(_classes(twin, x), answers),
        "agreement_attacked": _share(_classes(twin, attacked), _classes(file, attacked)),
        "network_agreement": _share(_classes(network, x), answers),
        "network_agreement_attacked": _share(_classes(network, attacked), _classes(file, attacked)),
    }


def _classes(network: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([network(part).argmax(1) for part in torch.split(x, BATCH)])


def _share(found: Tensor, expected: Tensor) -> float:
    return (found == expected).double().mean().item()


if __name__ == "__main__":
    main()

"""When a linear layer that selects its inputs is quicker than one that reads zeros for the others.

    python benchmarks/selection_speed.py --out benchmarks/results/selection_speed.json

Both are ONNX files in ONNX Runtime, one thread, in turns, by the processor's time. Where the two
take equally long, the products saved by the selection tell how many multiply-accumulates are as
dear as one value gathered, which is `advprune.shipping.selection.GATHERED`.
"""

import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import click
import numpy as np
import torch
from machine import machine
from torch import nn

from advprune.evaluation import write_json
from advprune.shipping import Shipped, export, latency, selection
from advprune.structure import SelectedLinear

LAYERS = ((368, 260), (800, 500), (3136, 128), (128, 32))
SHARES = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8)
BATCHES = (1, 8, 100)
WAYS = {"selected": 0, "zeros": 10**9}
"""Which value of GATHERED leaves the selection as it is, and which always folds it."""


@click.command()
@click.option("--out", required=True, type=Path)
@click.option("--rounds", default=100, show_default=True)
def main(out: Path, rounds: int) -> None:
    """Measures all layers and shares, and writes where the two ways are equally quick."""
    found = [_layer(*layer, batch, rounds) for layer in LAYERS for batch in BATCHES]
    write_json(out, {"layers": found, "clock": "processor", "machine": machine("onnxruntime")})


def _layer(arriving: int, outputs: int, batch: int, rounds: int) -> dict[str, Any]:
    ratios = [_ratio(arriving, outputs, share, batch, rounds) for share in SHARES]
    equal = float(np.interp(1.0, ratios, SHARES)) if ratios[0] < 1 < ratios[-1] else None
    found = {
        "inputs": arriving,
        "outputs": outputs,
        "batch": batch,
        "selected_time_by_zeros_time": dict(zip(map(str, SHARES), ratios, strict=True)),
        "equal_at_share": equal,
        "products_per_value": equal and outputs * (1 - equal) / equal,
    }
    click.echo(found)
    return found


def _ratio(arriving: int, outputs: int, share: float, batch: int, rounds: int) -> float:
    generator = torch.Generator().manual_seed(0)
    index = torch.randperm(arriving, generator=generator)[: int(share * arriving)].sort().values
    model = nn.Sequential(nn.Flatten(), SelectedLinear(nn.Linear(arriving, outputs), index))
    images = torch.rand(batch, 1, 1, arriving, generator=generator)
    opened: dict[str, nn.Module] = {}
    with tempfile.TemporaryDirectory() as folder:
        for way, gathered in WAYS.items():
            with mock.patch.object(selection, "GATHERED", gathered):
                opened[way] = Shipped(export(model, Path(folder, f"{way}.onnx"), images).path)
    times = latency(opened, images, batch_size=batch, rounds=rounds, clock=time.process_time)
    return times["selected"].median_ms / times["zeros"].median_ms


if __name__ == "__main__":
    main()

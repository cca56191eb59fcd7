"""The shipped MNIST network against the dense one, both as ONNX files in ONNX Runtime.

    python benchmarks/shipped_speed.py --out benchmarks/results/shipped_speed.json

zoo:mnist-lenet5-anp-vs against LeNet-5-Caffe with all its units (its weights do not matter), in
turns in one run, one thread, at batch 1 and 100. Beside them what limits the ratio: a file that
does nothing, LeNets whose widths are those of the shipped one rounded up to multiples of 8, and the
time of each step as ONNX Runtime's own profiler gives it.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from machine import machine
from torch import Tensor, nn

from advprune.evaluation import cost, write_json
from advprune.extras import need
from advprune.models import build
from advprune.shipping import Latency, Shipped, export, latency, load

SLIM = "zoo:mnist-lenet5-anp-vs"
BATCHES = (1, 100)
CLOCKS: dict[str, Callable[[], float]] = {
    "processor": time.process_time,
    "wall": time.perf_counter,
}
"""Other programs add to the wall's time and hardly to the processor's."""


@click.command()
@click.option("--out", required=True, type=Path)
@click.option("--rounds", default=200, show_default=True)
def main(out: Path, rounds: int) -> None:
    """Measures all files, writes their times, and prints how much quicker than dense they are."""
    images = torch.rand(max(BATCHES), 1, 28, 28, generator=torch.Generator().manual_seed(0))
    networks = _networks()
    with tempfile.TemporaryDirectory() as folder:
        made = {
            name: export(network, Path(folder, f"{number}.onnx"), images)
            for number, (name, network) in enumerate(networks.items())
        }
        opened = {name: Shipped(file.path) for name, file in made.items()}
        times = {
            f"{clock}, batch {batch}": _times(opened, images, batch, rounds, clock)
            for clock in CLOCKS
            for batch in BATCHES
        }
        steps = {
            f"{name}, batch {batch}": _steps(made[name].path, images[:batch], Path(folder))
            for name in ("dense", "shipped")
            for batch in BATCHES
        }
    write_json(
        out,
        {
            "shipped": SLIM,
            "files": {
                name: {"bytes": made[name].bytes, "macs": cost(network, images[:1]).macs}
                for name, network in networks.items()
            },
            "times": times,
            "step_us": steps,
            "machine": machine("onnxruntime"),
        },
    )


def _networks() -> dict[str, nn.Module]:
    """The networks by their names in the tables; of all but the shipped one the weights are noise.

    `f1` of the shipped network reads its inputs through a selection, which the rounded ones do not.
    """
    return {
        "dense": build("lenet5_caffe"),
        "shipped": load(SLIM),
        "3-24-264": build("lenet5_caffe", widths=[3, 24, 264]),
        "8-24-264": build("lenet5_caffe", widths=[8, 24, 264]),
        "nothing": nn.Flatten(),
    }


def _times(
    opened: dict[str, Shipped], images: Tensor, batch: int, rounds: int, clock: str
) -> dict[str, Any]:
    """Times of each file, and how much quicker than the dense one it is."""
    found = latency(opened, images, batch_size=batch, rounds=rounds, clock=CLOCKS[clock])
    for name in opened:
        click.echo(f"{clock}, batch {batch}, {name}: {_ratio(found, name):.2f}x")
    return {
        name: {**time.to_dict(), "ratio_of_medians": _ratio(found, name)}
        for name, time in found.items()
    }


def _ratio(found: dict[str, Latency], name: str) -> float:
    return found["dense"].median_ms / found[name].median_ms


def _steps(path: Path, images: Tensor, folder: Path, rounds: int = 300) -> dict[str, float]:
    """Median microseconds of each step of a file, by the runtime's profiler, which adds some."""
    onnxruntime = need("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = 1, 1
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "profile")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for _ in range(rounds):
        session.run(None, {"images": images.numpy()})
    taken: dict[str, list[float]] = {}
    for event in json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            taken.setdefault(event["name"].removesuffix("_kernel_time"), []).append(event["dur"])
    return {name: float(np.median(each)) for name, each in taken.items()}


if __name__ == "__main__":
    main()

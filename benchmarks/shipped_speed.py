"""The shipped MNIST network against the dense one, both as ONNX files in ONNX Runtime.

    python benchmarks/shipped_speed.py --out benchmarks/results/shipped_speed.json

zoo:mnist-lenet5-anp-vs against LeNet-5-Caffe with all its units (its weights do not matter), in
turns in one run, at batch 1 and 100, with one thread and with two.
"""

import tempfile
from pathlib import Path
from typing import Any

import click
import torch
from machine import machine

from advprune.evaluation import write_json
from advprune.models import build
from advprune.shipping import Shipped, export, latency, load

SLIM = "zoo:mnist-lenet5-anp-vs"


@click.command()
@click.option("--out", required=True, type=Path)
@click.option("--rounds", default=200, show_default=True)
def main(out: Path, rounds: int) -> None:
    """Measures all four pairs and writes their ratios."""
    images = torch.rand(100, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        networks = {"dense": build("lenet5_caffe"), "slim": load(SLIM)}
        files = {name: Path(folder, f"{name}.onnx") for name in networks}
        sizes = {name: export(networks[name], files[name], images).bytes for name in networks}
        for threads in (1, 2):
            opened = {name: Shipped(path, threads=threads) for name, path in files.items()}
            for batch in (1, 100):
                times = latency(opened, images, batch_size=batch, threads=threads, rounds=rounds)
                ratio = times["dense"].median_ms / times["slim"].median_ms
                click.echo(f"{threads} thread(s), batch {batch}: {ratio:.2f}x faster")
                found[f"threads {threads}, batch {batch}"] = {
                    "ratio_of_medians": ratio,
                    **{name: time.to_dict() for name, time in times.items()},
                }
    write_json(
        out,
        {
            "slim": SLIM,
            "bytes": sizes,
            "pairs": found,
            "note": "the machine did other work meanwhile",
            "machine": machine("onnxruntime"),
        },
    )


if __name__ == "__main__":
    main()

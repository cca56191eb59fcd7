"""`advprune export`: a saved model as files for other runtimes."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table
    from torch import Tensor

    from advprune.shipping import Export, Manifest

IMAGES = 256
"""Images of the check against torch; without data, of noise."""


@click.command(short_help="A saved model as files for other runtimes, checked against torch.")
@click.argument("model")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--data", metavar="NAME", help="Data set of the check's images and for --int8.")
@click.option("--path", help="Folder of the data, where the data set needs one.")
@click.option("--int8", is_flag=True, help="Quantise to int8 after training (.onnx, .xml).")
@click.option(
    "--calibration",
    type=click.IntRange(1),
    default=512,
    show_default=True,
    help="Training images for --int8.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the images drawn.")
@click.option("--trust-code", is_flag=True, help="Import the code that a model of one's own needs.")
def export(
    model: str,
    files: tuple[Path, ...],
    data: str | None,
    path: str | None,
    int8: bool,
    calibration: int,
    seed: int,
    trust_code: bool,
) -> None:
    """Write a saved model to files for other runtimes, each checked against torch.

    MODEL is a folder that a run or advprune.save wrote, or zoo:NAME. The suffix of each of FILES
    says what it becomes: .onnx, .xml (OpenVINO), .pte (ExecuTorch) or .pt2 (a torch program). The
    check takes validation images, and --int8 training images, of --data; never test images.
    """
    from rich.console import Console

    import advprune as ap
    from advprune.shipping import locate, read_manifest

    if int8 and data is None:
        raise ValueError("--int8 needs --data: it draws its calibration images from the training")
    network, manifest = ap.load(model, trust_code=trust_code), read_manifest(locate(model))
    images, training = _images(manifest, data, path, calibration if int8 else 0, seed)
    facts = manifest.model_dump(include={"classes", "threat", "input_shape", "input_range"})
    Console().print(
        _table(
            [ap.export(network, file, images, calibration=training, **facts) for file in files],
            data or "noise",
        )
    )


def _images(
    manifest: "Manifest", data: str | None, path: str | None, calibration: int, seed: int
) -> tuple["Tensor", "Tensor | None"]:
    """Images for the check, and as many training images as asked for."""
    import torch

    import advprune as ap
    from advprune.data.splitting import stratified

    if data is None:
        if manifest.input_shape is None:
            raise ValueError("the model does not say how large its images are: give --data")
        noise = torch.Generator().manual_seed(seed)
        return torch.rand(IMAGES, *manifest.input_shape, generator=noise), None
    splits = ap.data.load(data, path=path)
    chosen = [
        part.subset(stratified(part.y, min(number, len(part)), seed)[1]).tensors()[0]
        for part, number in ((splits.validation, IMAGES), (splits.train, calibration))
    ]
    return chosen[0], chosen[1] if calibration else None


def _table(exports: list["Export"], source: str) -> "Table":
    from rich.table import Table

    table = Table(title=f"compared with torch on {exports[0].parity.images} images of {source}")
    for heading in ("file", "numbers", "kB", "largest difference", "same class %", "run by"):
        table.add_column(heading, justify="left" if heading in ("file", "run by") else "right")
    for made in exports:
        table.add_row(
            str(made.path),
            "int8" if made.int8 else "float32",
            f"{made.bytes / 1e3:.1f}",
            f"{made.parity.difference:.1e} of {made.parity.largest:.1f}",
            f"{100 * made.parity.same_top1:.2f}",
            made.backend,
        )
    return table

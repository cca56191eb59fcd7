"""`advprune check`: what of a model can be pruned."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from torch import nn


def _shape(
    _context: click.Context, _option: click.Parameter, given: str | None
) -> list[int] | None:
    if given is None:
        return None
    sizes = given.replace("x", ",").split(",")
    if len(sizes) != 3 or not all(size.strip().isdigit() and int(size) > 0 for size in sizes):
        raise click.BadParameter(f"{given!r} is no channels,height,width, such as 3,32,32")
    return [int(size) for size in sizes]


@click.command(short_help="What of a model can be pruned, what not, and why.")
@click.argument("model")
@click.option(
    "--input-shape",
    callback=_shape,
    metavar="C,H,W",
    help="Of one image, such as 3,32,32.  [default: the saved model's own]",
)
@click.option("--trust-code", is_flag=True, help="Import the package.module:callable of the model.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file for all of it.")
def check(model: str, input_shape: list[int] | None, trust_code: bool, out: Path | None) -> None:
    """Say which layers of a model can be pruned, which cannot, and why.

    MODEL is a folder that a run or advprune.save wrote, zoo:NAME, the name of a model that comes
    along, or package.module:callable with --trust-code.
    """
    import torch
    from rich.console import Console

    import advprune as ap
    from advprune.evaluation import write_json

    network, own_shape = _network(model, trust_code)
    shape = input_shape or own_shape
    if shape is None:
        raise ValueError(f"{model} does not say what its images are like: give --input-shape")
    found = ap.check(network, torch.zeros(1, *shape))
    Console().print(found)
    if out is not None:
        click.echo(f"Written: {write_json(out, found.to_dict())}")


def _network(model: str, trust_code: bool) -> tuple["nn.Module", list[int] | None]:
    """Gives the model, and the shape of its images where it is known."""
    from advprune.models import build
    from advprune.shipping import load, locate, read_manifest

    if model.startswith("zoo:") or "/" in model or Path(model).is_dir():
        return load(model, trust_code=trust_code), read_manifest(locate(model)).input_shape
    if ":" in model and not trust_code:
        raise ValueError(f"{model} runs code; if you trust it, give --trust-code")
    return build(model), None

"""`advprune evaluate`: attack a saved model."""

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("model")
@click.option("--data", required=True, metavar="NAME", help="Data set, such as digits or mnist.")
@click.option("--path", help="Folder of the data, where the data set needs one.")
@click.option("--norm", help="linf, l2 or l1.  [default: the model's own]")
@click.option("--eps", help="Radius in pixels, such as 0.3 or 8/255.  [default: the model's own]")
@click.option(
    "--suite",
    default="quick",
    show_default=True,
    help="quick, standard (AutoAttack), thorough, rand, paper or strong.",
)
@click.option("--source", "sources", multiple=True, help="Another model to transfer attacks from.")
@click.option("--subset", type=int, metavar="N", help="Number of test images.  [default: all]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of noise and subset.")
@click.option(
    "--trust-code",
    is_flag=True,
    help="Import the package.module:callable that a model of one's own, or a source, is built by.",
)
@click.option(
    "--keep",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for finished batches with their images: stopped, the same command goes on there.",
)
@click.option("--out", type=click.Path(path_type=Path), help="JSON file for the whole result.")
def evaluate(
    model: str,
    data: str,
    path: str | None,
    norm: str | None,
    eps: str | None,
    suite: str,
    sources: tuple[str, ...],
    subset: int | None,
    seed: int,
    trust_code: bool,
    folder: Path | None,
    out: Path | None,
) -> None:
    """Attack a saved model and say what is left of its accuracy.

    MODEL is a folder that a run or advprune.save wrote, or zoo:NAME.
    """
    from rich.console import Console

    import advprune as ap

    threat = ap.ThreatModel(**_threat(model, norm, eps))
    network = ap.load(model, trust_code=trust_code)
    others = {source: ap.load(source, trust_code=trust_code) for source in sources}
    images = ap.data.load(data, path=path, validation=0).test
    result = ap.evaluate(
        network, images, threat, suite, others, subset=subset, seed=seed, folder=folder
    )
    Console().print(result)
    if out is not None:
        click.echo(f"Written: {result.to_json(out)}")


def _threat(model: str, norm: str | None, eps: str | None) -> dict[str, Any]:
    """Norm and eps as given; what is not, as the model's manifest says it was trained for."""
    from advprune.shipping import locate, read_manifest

    own = read_manifest(locate(model)).threat or {}
    norm = norm or own.get("norm", "linf")
    if eps is not None:
        return {"norm": norm, "eps": eps}
    if own.get("norm") != norm or "eps" not in own:
        raise ValueError(
            f"{model} does not say which eps it withstands in {norm}: give --eps, and --norm"
            " where it is not linf"
        )
    return {"norm": norm, "eps": own["eps"]}

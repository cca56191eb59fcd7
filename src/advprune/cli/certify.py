"""`advprune certify`: a lower bound on what attacks leave, beside an upper one."""

from pathlib import Path
from typing import Any

import click


@click.command(short_help="Certify a saved model: a bound that no attack goes below.")
@click.argument("model")
@click.option("--data", required=True, metavar="NAME", help="Data set, such as digits or mnist.")
@click.option("--path", help="Folder of the data, where the data set needs one.")
@click.option("--norm", help="linf, l2 or l1.  [default: the model's own]")
@click.option("--eps", help="Radius in pixels, such as 0.1 or 8/255.  [default: the model's own]")
@click.option(
    "--method",
    "methods",
    multiple=True,
    default=("crown_ibp",),
    show_default=True,
    help="ibp, crown_ibp, crown, polytope, complete or smoothing. May be given several times.",
)
@click.option("--suite", default="quick", show_default=True, help="Attacks beside it, or none.")
@click.option("--sigma", type=float, help="Noise of smoothing, in units of pixels.")
@click.option("--seconds", type=float, help="Time of complete, for each image.  [default: 30]")
@click.option("--subset", type=int, metavar="N", help="Number of test images.  [default: all]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of noise and subset.")
@click.option(
    "--trust-code",
    is_flag=True,
    help="Import the package.module:callable that a model of one's own is built by.",
)
@click.option("--out", type=click.Path(path_type=Path), help="JSON file for the whole result.")
def certify(
    model: str,
    data: str,
    path: str | None,
    norm: str | None,
    eps: str | None,
    methods: tuple[str, ...],
    suite: str,
    sigma: float | None,
    seconds: float | None,
    subset: int | None,
    seed: int,
    trust_code: bool,
    out: Path | None,
) -> None:
    """Say how many images no perturbation within the threat can turn, beside what attacks leave.

    MODEL is a folder that a run or advprune.save wrote, or zoo:NAME.
    """
    from rich.console import Console

    import advprune as ap
    from advprune.cli._networks import own_threat

    threat = ap.ThreatModel(**own_threat(model, norm, eps))
    options: dict[str, dict[str, Any]] = {}
    if sigma is not None:
        options["smoothing"] = {"sigma": sigma}
    if seconds is not None:
        options["complete"] = {"seconds": seconds}
    result = ap.certify(
        ap.load(model, trust_code=trust_code),
        ap.data.load(data, path=path, validation=0).test,
        threat,
        methods,
        suite=None if suite == "none" else suite,
        options=options,
        subset=subset,
        seed=seed,
    )
    Console().print(result)
    if out is not None:
        click.echo(f"Written: {result.to_json(out)}")

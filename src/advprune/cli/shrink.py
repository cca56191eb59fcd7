"""`advprune shrink`: from a finished network to a small one within a budget."""

from pathlib import Path

import click


@click.command(short_help="Cut a finished network to a budget and tune it under attack.")
@click.argument("checkpoint")
@click.option("--data", required=True, metavar="NAME", help="Data set, such as digits or mnist.")
@click.option("--path", help="Folder of the data, where the data set needs one.")
@click.option(
    "--budget",
    required=True,
    metavar="macs=SHARE|latency=MSms",
    help="Such as macs=0.2, of the network's own, or latency=2ms for one image on this machine.",
)
@click.option(
    "--round-to",
    type=click.IntRange(1),
    metavar="N",
    help="Make widths multiples of N.  [default: 8 for a latency, 1 for macs]",
)
@click.option(
    "--score",
    default="worth",
    show_default=True,
    help="What ranks units: worth, clean_worth, adversarial_worth (Taylor), magnitude, or, to test"
    " what vulnerability says, vulnerability, relative_, margin_ or reverse_vulnerability.",
)
@click.option("--model", help="What builds a checkpoint's network: a name, or module:callable.")
@click.option("--norm", default="linf", show_default=True, help="linf, l2 or l1.")
@click.option("--eps", required=True, help="Radius in pixels, such as 0.3 or 8/255.")
@click.option("--epochs", type=click.IntRange(1), default=3, show_default=True, help="Of tuning.")
@click.option("--rate", type=float, default=1e-3, show_default=True, help="Of tuning, at its peak.")
@click.option("--suite", default="quick", show_default=True, help="quick, paper or strong.")
@click.option("--subset", type=int, metavar="N", help="Number of test images.  [default: all]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything random.")
@click.option("--resume", is_flag=True, help="Continue the run in the folder, if it was stopped.")
@click.option("--trust-code", is_flag=True, help="Run the code that builds or loads the network.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the run.",
)
def shrink(
    checkpoint: str,
    data: str,
    path: str | None,
    budget: str,
    round_to: int | None,
    score: str,
    model: str | None,
    norm: str,
    eps: str,
    epochs: int,
    rate: float,
    suite: str,
    subset: int | None,
    seed: int,
    resume: bool,
    trust_code: bool,
    out: Path,
) -> None:
    """Cut a finished network to a budget, tune it under attack, evaluate, save and report.

    CHECKPOINT is a folder that advprune saved, zoo:NAME, hf:NAME (a folder or name of Hugging
    Face's), timm:NAME, robustbench:DATA/THREAT/NAME, or a file of weights whose network --model
    builds: safetensors, or torch's, of which tensors alone are read.
    """
    import advprune as ap
    from advprune.models.finished import finished
    from advprune.recipes.shrinking import TUNING

    if model is None and (checkpoint.startswith("zoo:") or Path(checkpoint).is_dir()):
        network = ap.load(checkpoint, trust_code=trust_code)
    else:
        network = finished(checkpoint, model=model, trust_code=trust_code)
    try:
        ap.shrink(
            network,
            ap.data.load(data, path=path, seed=seed),
            ap.ThreatModel(norm=norm, eps=eps),
            budget,
            out=out,
            round_to=round_to,
            score=score,
            tuning=TUNING.model_copy(update={"epochs": epochs, "learning_rate": rate}),
            suite=suite,
            examples=subset,
            seed=seed,
            resume=resume,
        )
    except KeyboardInterrupt as interruption:
        raise KeyboardInterrupt("Continue with the same command and --resume") from interruption

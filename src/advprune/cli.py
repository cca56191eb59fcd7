"""The command line. Heavy libraries are imported inside the commands: ``--help`` is quick."""

import datetime as dt
import sys
from pathlib import Path
from typing import Any

import click


class _Mistake(click.ClickException):
    """What the user can put right; shown in a line, without a traceback."""

    exit_code = 2


class _Commands(click.Group):
    """Commands whose complaints about what they were given are shown as such."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interruption:
            click.echo(f"Interrupted. {interruption}".rstrip(), err=True)
            sys.exit(130)
        except (ValueError, OSError) as error:
            if ctx.params["debug"]:
                raise
            raise _Mistake(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="advprune", message="advprune %(version)s")
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error.")
def main(debug: bool) -> None:
    """Make image classifiers robust to adversarial attacks and physically small."""


@main.command(short_help="From data to a small robust model and its report.")
@click.argument("recipe")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of the recipe, such as seed=3 or training.phases.prune.epochs=5."
    " May be given several times.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the run.  [default: a new one, runs/NAME-TIME]",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue a run that was stopped; without --out, the latest one of this recipe.",
)
def run(recipe: str, assignments: tuple[str, ...], out: Path | None, resume: bool) -> None:
    """Train, prune, slim, attack and report: the whole way from data to a small robust model.

    RECIPE is a YAML file, or the name of a recipe that comes along, such as digits or
    mnist-anp-vs (a wrong name lists them all).
    """
    from advprune import recipes
    from advprune.recipes.run import run_recipe

    chosen = recipes.load(recipe, assignments)
    folder = out or (_latest_run(chosen.name) if resume else _new_run(chosen.name))
    try:
        run_recipe(chosen, folder, resume=resume)
    except KeyboardInterrupt as interruption:
        again = f"advprune run {folder / 'recipe.yaml'} --out {folder} --resume"
        raise KeyboardInterrupt(f"Continue with:\n  {again}") from interruption


@main.command()
@click.argument("model")
@click.option("--data", required=True, metavar="NAME", help="Data set, such as digits or mnist.")
@click.option("--path", help="Folder of the data, where the data set needs one.")
@click.option("--norm", help="linf, l2 or l1.  [default: the model's own]")
@click.option("--eps", help="Radius in pixels, such as 0.3 or 8/255.  [default: the model's own]")
@click.option("--suite", default="quick", show_default=True, help="quick, paper or strong.")
@click.option("--source", "sources", multiple=True, help="Another model to transfer attacks from.")
@click.option("--subset", type=int, metavar="N", help="Number of test images.  [default: all]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of noise and subset.")
@click.option(
    "--trust-code",
    is_flag=True,
    help="Import the package.module:callable that a model of one's own, or a source, is built by.",
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
    result = ap.evaluate(network, images, threat, suite, others, subset=subset, seed=seed)
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


@main.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
def report(run_folder: Path) -> None:
    """Write the HTML report of a finished run again.

    RUN is the run's folder.
    """
    from advprune import report as reports

    click.echo(f"Written: {reports.write(run_folder)}")


RUNS = Path("runs")


def _new_run(name: str) -> Path:
    return RUNS / f"{name}-{dt.datetime.now().astimezone():%Y%m%d-%H%M%S}"


def _latest_run(name: str) -> Path:
    stamp = "[0-9]" * 8 + "-" + "[0-9]" * 6
    found = sorted(RUNS.glob(f"{name}-{stamp}"))
    if not found:
        raise ValueError(f"no run of {name} in {RUNS.resolve()}: name its folder with --out")
    return found[-1]

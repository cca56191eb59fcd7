"""`advprune evaluate`: attack saved models and exported files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from advprune.cli._networks import is_file, network_of, own_threat
from advprune.cli._written import compare_written, verify_written

if TYPE_CHECKING:
    from torch import nn

    from advprune.data import Images
    from advprune.threat import ThreatModel


@click.command(short_help="Attack saved models and exported files.")
@click.argument("models", nargs=-1)
@click.option("--data", metavar="NAME", help="Data set, such as digits or mnist.")
@click.option("--path", help="Folder of the data, where the data set needs one.")
@click.option("--norm", help="linf, l2 or l1.  [default: the model's own]")
@click.option("--eps", help="Radius in pixels, such as 0.3 or 8/255.  [default: the model's own]")
@click.option(
    "--suite",
    help="quick, standard (AutoAttack), thorough, rand, minimum (smallest perturbations), breadth"
    " (other norms, few pixels, corruptions, shifts and rotations; breadth:l2=0.5,l0=10 with radii"
    " of one's own), paper, strong or shipped.  [default: quick; shipped where a file is attacked;"
    " rand with --repeats]",
)
@click.option("--twin", help="The saved model that files were exported from; attacked beside them.")
@click.option("--source", "sources", multiple=True, help="Another model to transfer attacks from.")
@click.option(
    "--fresh",
    "epochs",
    type=int,
    metavar="EPOCHS",
    help="Transfer from each model's own layers too, trained afresh on the training images.",
)
@click.option(
    "--curve",
    "radii",
    metavar="EPS,EPS",
    help="The accuracy at these radii as well, such as 0,0.5,1: in linf at most chance may be left"
    " at 0.5, nothing at 1.",
)
@click.option(
    "--targeted",
    is_flag=True,
    help="Attack towards every other class as well: which answers can be had, for which class.",
)
@click.option("--subset", type=int, metavar="N", help="Number of test images.  [default: all]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of noise and subset.")
@click.option(
    "--repeats",
    type=int,
    metavar="N",
    help="Evaluate N times, with seeds from --seed on: mean, interval and worst of a random model.",
)
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
@click.option(
    "--verify",
    "written",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Attack nothing: check a file of --out, and the images of --keep, against model and data.",
)
@click.option(
    "--paired",
    "pair",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    nargs=2,
    metavar="FIRST SECOND",
    help="Attack nothing: compare two files of --out image by image (McNemar).",
)
def evaluate(
    models: tuple[str, ...],
    data: str | None,
    path: str | None,
    norm: str | None,
    eps: str | None,
    suite: str | None,
    twin: str | None,
    sources: tuple[str, ...],
    epochs: int | None,
    radii: str | None,
    targeted: bool,
    subset: int | None,
    seed: int,
    repeats: int | None,
    trust_code: bool,
    folder: Path | None,
    out: Path | None,
    written: Path | None,
    pair: tuple[Path, Path] | None,
) -> None:
    """Attack saved models and exported files, and say what is left of their accuracy.

    MODELS are folders that a run or advprune.save wrote, zoo:NAME, and exported files (.onnx,
    .xml, .pte). A file's answers are its runtime's; its gradients are its own where it is ONNX or
    OpenVINO, and the twin's otherwise. What fools the twin is tried on it as well.

    With --verify RESULT.json, models, data and folder are those that the file names, where they are
    not given; the exit status is 1 where anything is not as the file says.
    """
    if written is not None:
        verify_written(written, models, data, path, folder, trust_code)
        return
    if pair is not None:
        compare_written(*pair)
        return
    if not models or data is None:
        raise ValueError("give MODELS and --data, or --verify or --paired with written results")
    from functools import partial

    from rich.console import Console

    import advprune as ap
    from advprune.attacks import backward_as
    from advprune.evaluation import Repeats, fresh_source, paired, repeat, side_by_side, write_json
    from advprune.shipping import stand_in

    twins = (twin,) if twin else ()
    names = list(dict.fromkeys([*twins, *models]))
    threat = ap.ThreatModel(**own_threat(names[0], norm, eps))
    curve_at = [threat.at(eps).eps for eps in radii.split(",")] if radii else []
    networks = {name: network_of(name, trust_code) for name in dict.fromkeys([*names, *sources])}
    stand_ins = {
        name: {"": stand_in(name, networks[twin] if twin else None)} if is_file(name) else {}
        for name in names
    }
    usual = "shipped" if any(stand_ins.values()) else "quick" if repeats is None else "rand"
    splits = ap.data.load(data, path=path, validation=0)
    test, afresh = splits.test, dict[str, "nn.Module"]()
    if epochs is not None:
        labelled = splits.train.tensors()
        afresh = {
            name: fresh_source(networks[name], labelled, epochs=epochs, seed=seed) for name in names
        }
    attack = partial(
        partial(repeat, times=repeats) if repeats is not None else ap.evaluate,
        data=test,
        threat=threat,
        suite=suite or usual,
        subset=subset,
        seed=seed,
    )
    results: dict[str, ap.Result | Repeats] = {}
    more: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(names):
        kept = folder / str(number) if folder and len(names) > 1 else folder
        others = {source: networks[source] for source in (*sources, *twins[: name != twin])}
        others |= {"trained afresh": afresh[name]} if name in afresh else {}
        with backward_as(networks[name], stand_ins[name]) as network:
            results[name] = attack(network, sources=others, folder=kept)
            Console().print(results[name])
            more[name] = _besides(network, test, threat, curve_at, targeted, seed, subset)
    once = {name: result for name, result in results.items() if isinstance(result, ap.Result)}
    if len(once) > 1:
        Console().print(side_by_side(once))
        (first, judged), *others_judged = once.items()
        for name, result in others_judged:
            Console().print(f"{first}, {name}: {paired(judged, result)}")
    if out is not None:
        figures = {
            name: {
                **result.to_dict(),
                **more[name],
                "source": {"model": name, "data": data, "path": path},
            }
            for name, result in results.items()
        }
        write_json(out, figures[names[0]] if len(names) == 1 else figures)
        click.echo(f"Written: {out}")


def _besides(
    network: "nn.Module",
    test: "Images",
    threat: "ThreatModel",
    curve_at: Sequence[float],
    targeted: bool,
    seed: int,
    subset: int | None,
) -> dict[str, Any]:
    """The figures that are asked for beside the usual ones: shown, and as JSON values."""
    from rich.console import Console

    from advprune import evaluation

    found: dict[str, Any] = {}
    if curve_at:
        curve = evaluation.curve(network, test, threat.norm, curve_at, seed=seed, subset=subset)
        Console().print(curve)
        found |= curve.to_dict()
    if targeted:
        turned = evaluation.targeted(network, test, threat, seed=seed, subset=subset)
        Console().print(turned)
        found["targeted"] = turned.to_dict()
    return found

"""Every method on MNIST with the same processor time.

    python benchmarks/methods.py plan --data FOLDER
    advprune compare benchmarks/methods/*.yaml --out runs/methods
    python benchmarks/methods.py collect runs/methods

`plan` writes a recipe into benchmarks/methods for each that comes with the package: the same
method on 10,000 training images, every phase shortened or prolonged by one factor, warm-ups with
it, so that training takes SECONDS of one core. The factor follows from one epoch of each phase on
640 images, timed here; where gates or a budget make the network smaller than the dense one that
was timed, training takes less. What a row takes in the end stands in the table.

`collect` copies what runs found into benchmarks/results/methods, and puts the table of all that
lies there beside it.

Recipes that build on another network name runs/mnist-standard and runs/mnist-at: links to the runs
of this table will do.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import pandas as pd  # type: ignore[import-untyped]
import torch
from rich.console import Console

from advprune import comparison, recipes
from advprune.recipes import Recipe, plain_yaml
from advprune.recipes.run import train_recipe

HERE = Path(__file__).parent
FOLDER, RESULTS = HERE / "methods", HERE / "results" / "methods"
PREFIX = "mnist-"
ELSEWHERE = {"mnist-crown-ibp"}
"""Certified training is another task: docs/certificates.md."""
MNIST, TRAINED, TIMED, BATCH = 60_000, 10_000, 640, 64
IN_EPOCHS = ("eps_warmup_epochs", "kl_warmup_epochs", "weight_perturbation_after")


@click.group(help=__doc__)
def main() -> None:
    """See the module's text."""


@main.command()
@click.argument("names", nargs=-1)
@click.option("--data", "folder", required=True, help="Folder of MNIST.")
@click.option("--seconds", default=240.0, show_default=True, help="Of one core, for training.")
def plan(names: tuple[str, ...], folder: str, seconds: float) -> None:
    """Times the phases of recipes (all, or those named) and writes them as long as they may be."""
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    chosen = names or [name for name in recipes.names() if name.startswith(PREFIX)]
    for name in chosen:
        if name in ELSEWHERE:
            continue
        epoch = {phase: TRAINED / TIMED * taken for phase, taken in timed(name, folder).items()}
        phases = recipes.load(name).training.phases
        factor = seconds / sum(phase.epochs * epoch[phase.name] for phase in phases)
        text = plain_yaml.dump(planned(name, factor, seconds))
        (FOLDER / f"{name.removeprefix(PREFIX)}.yaml").write_text(text, "utf-8")
        click.echo(f"{name}: {factor:.2f} of its epochs")


@main.command()
@click.argument("runs", type=click.Path(path_type=Path))
def collect(runs: Path) -> None:
    """Copies the results of runs, and writes the table of all."""
    for found in runs.glob("*/result.json"):
        name = found.parent.name.rpartition("-")[0]  # without the identity
        (RESULTS / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(found, RESULTS / name)
    click.echo(comparison.writing.write(comparison.rows(list(collected())), RESULTS))


def collected() -> Iterator[comparison.PlannedRun]:
    """The runs of each planned recipe that were copied, in the order of names and seeds."""
    for source in sorted(FOLDER.glob("*.yaml")):
        for folder in sorted(RESULTS.glob(f"{source.stem}-seed*")):
            yield comparison.PlannedRun(source.stem, recipes.load(source), folder)


def timed(name: str, folder: str) -> dict[str, float]:
    """Processor seconds of one epoch of each phase on few images."""
    told: dict[str, Any] = recipes.load(name).model_dump(mode="json")
    told["data"] |= {"path": folder, "validation": MNIST - TIMED}
    told["training"] |= {"batch_size": BATCH, "validation_examples": 10}
    told["training"] |= {"validation_attack_steps": 1, "recalibration_examples": 64}
    for phase in told["training"]["phases"]:
        phase |= {"epochs": 1, "budget": None, "criterion": "gates"}
    with TemporaryDirectory() as out:
        recipe = Recipe.model_validate(told)
        *_, trained = train_recipe(
            recipe, Path(out) / "run", resume=False, console=Console(quiet=True)
        )
        walls = pd.read_csv(Path(out) / "run" / "metrics.csv").set_index("phase")["seconds"]
    return {phase: wall * trained.cpu_seconds / walls.sum() for phase, wall in walls.items()}


def planned(name: str, factor: float, seconds: float) -> dict[str, Any]:
    """The recipe on top of that name, with each phase `factor` as long."""
    phases = []
    for phase in recipes.load(name).training.phases:
        epochs = max(round(factor * phase.epochs), 1)
        spans = {key: getattr(phase, key) for key in IN_EPOCHS if getattr(phase, key)}
        scaled = {key: span * epochs / phase.epochs for key, span in spans.items()}
        phases.append({"name": phase.name, "epochs": epochs, **scaled})
    return {
        "name": name.removeprefix(PREFIX),
        "base": name,
        "description": f"{name} in {seconds:g} seconds of one core, on {TRAINED:,} images.",
        "data": {"validation": MNIST - TRAINED},
        "training": {
            "batch_size": BATCH,
            "validation_examples": 500,
            "validation_attack_steps": 10,
            "phases": phases,
        },
    }


if __name__ == "__main__":
    main()

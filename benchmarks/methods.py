r"""Every method on one data set with the same processor time.

    python benchmarks/methods.py plan mnist --path FOLDER
    advprune run benchmarks/methods/mnist/at.yaml --set seed=100 --out runs/mnist-at
    advprune run benchmarks/methods/mnist/standard.yaml --set seed=100 \
        --set training.phases.train.epochs=6 --out runs/mnist-standard
    advprune compare benchmarks/methods/mnist/*.yaml --out runs/methods
    python benchmarks/methods.py replan mnist runs/methods
    advprune compare benchmarks/methods/mnist/*.yaml --out runs/methods
    advprune compare benchmarks/methods/mnist/anp-vs.yaml --controls --out runs/methods
    python benchmarks/methods.py collect mnist runs/methods
    python benchmarks/methods.py pair mnist anp-vs at

`plan` writes a recipe into benchmarks/methods for each that comes with the package: the same
method on 10,000 training images, every phase shortened or prolonged by one factor, warm-ups with
it, so that training takes SECONDS of one core. The factor follows from one epoch of each phase on
a few images, timed here. Where gates or a budget make the network smaller than the dense one that
was timed, training takes less: `replan` prolongs (or shortens) the recipes whose runs took another
time by more than WITHIN, by that. What a row takes in the end stands in the table.

`collect` copies what runs of the recipes as they are now found into benchmarks/results/methods, and
puts the table of all that lies there beside it and, with its picture, into docs/methods.md.

Some recipes build on another network. Of one that starts from it, the plan takes a quarter off:
what that network was trained with. Teachers and sources of images are not charged. Attacks are
transferred to every row from runs/mnist-at, whose seed no row has.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import click
import pages
import pandas as pd  # type: ignore[import-untyped]
import torch
from rich.console import Console

from advprune import comparison, recipes
from advprune.comparison.writing import picture, write
from advprune.evaluation import paired, write_json
from advprune.recipes import Recipe, plain_yaml
from advprune.recipes.run import train_recipe
from advprune.training.settings import Phase

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "methods.md"
FOLDER, RESULTS = HERE / "methods", HERE / "results" / "methods"
BATCH = 64


@dataclass(frozen=True)
class Task:
    """What is learned.

    Attributes:
        images: In the training split.
        trained: Of them, how many are trained on.
        timed: How many suffice to time an epoch.
        model: Changes to the network.
        steps: Of attacks in training, at most; those of more go as far by longer ones.
        elsewhere: Recipes that are no row: certified training is another task
            (docs/certificates.md).
    """

    images: int
    trained: int
    timed: int
    model: Mapping[str, float]
    steps: int
    elsewhere: frozenset[str] = frozenset()


TASKS = {
    "mnist": Task(60_000, 10_000, 640, {}, 5, frozenset({"mnist-crown-ibp"})),
    "cifar10": Task(50_000, 10_000, 320, {"width": 0.25}, 3),
}
STARTED = 0.25
"""Share of the seconds that the network has had from which a recipe starts."""
WITHIN = 0.25
"""How far from the seconds given training may end, as a share of them."""
IN_EPOCHS = ("eps_warmup_epochs", "kl_warmup_epochs", "weight_perturbation_after")


@click.group(help=__doc__)
def main() -> None:
    """See the module's text."""


@main.command()
@click.argument("task", type=click.Choice(list(TASKS)))
@click.argument("names", nargs=-1)
@click.option("--path", required=True, help="Folder of the images.")
@click.option("--seconds", default=160.0, show_default=True, help="Of one core, for training.")
@click.option("--into", help="Folder in benchmarks/methods.  [default: TASK]")
def plan(task: str, names: tuple[str, ...], path: str, seconds: float, into: str | None) -> None:
    """Times the phases of recipes (all, or those named) and writes them as long as they may be."""
    torch.set_num_threads(1)
    own, folder = TASKS[task], FOLDER / (into or task)
    folder.mkdir(exist_ok=True)
    for name in names or [name for name in recipes.names() if name.startswith(f"{task}-")]:
        if name in own.elsewhere:
            continue
        recipe = recipes.load(name)
        epoch = timed(own, recipe, path)
        whole = sum(phase.epochs * epoch[phase.name] for phase in recipe.training.phases)
        given = seconds if recipe.model.start_from is None else (1 - STARTED) * seconds
        row = name.removeprefix(f"{task}-")
        text = plain_yaml.dump({"name": row, **planned(task, recipe, given / whole, seconds)})
        (folder / f"{row}.yaml").write_text(text, "utf-8")
        click.echo(f"{name}: {given / whole:.2f} of its epochs")


@main.command()
@click.argument("folder")
@click.argument("runs", type=click.Path(path_type=Path))
@click.option("--seconds", default=160.0, show_default=True, help="Of one core, for training.")
def replan(folder: str, runs: Path, seconds: float) -> None:
    """Makes the recipes in FOLDER last as long as they should, by what their RUNS took."""
    for source, finished in of_planned(folder, runs).items():
        told = plain_yaml.parse(source.read_text("utf-8"), str(source))
        started = recipes.load(source).model.start_from is not None
        given = (1 - STARTED if started else 1) * seconds
        took = mean(result_of(run)["training"]["cpu_seconds"] for run in finished) / given
        if abs(took - 1) <= WITHIN:
            continue
        for phase in told["training"]["phases"]:
            phase.update(lasting(phase, phase["epochs"], phase["epochs"] / took))
        source.write_text(plain_yaml.dump(told), "utf-8")
        click.echo(f"{source.stem}: took {took:.2f} of its time")


@main.command()
@click.argument("folder")
@click.argument("runs", type=click.Path(path_type=Path))
def collect(folder: str, runs: Path) -> None:
    """Copies the results of runs that were planned in FOLDER; their table goes into the docs."""
    for run in chain.from_iterable(of_planned(folder, runs).values()):
        name = run.name.rpartition("-")[0]  # without the identity
        result = result_of(run)
        del result["after"]["vulnerability"]["features"]  # most of the file, and in no table
        result.pop("before", None)
        attacked = json.loads((run / "stages" / "after-accuracies.json").read_text("utf-8"))
        result["after"]["survivors"] = attacked["survivors"]
        write_json(RESULTS / folder / name / "result.json", result)
    rows = comparison.rows(list(collected(folder)))
    click.echo(write(rows, RESULTS / folder))
    pages.put(PAGE, (RESULTS / folder / "table.md").read_text("utf-8").strip(), folder)
    pages.write_picture(PAGE.with_name(f"methods-{folder}.svg"), picture(rows))


@main.command()
@click.argument("folder")
@click.argument("first")
@click.argument("second")
def pair(folder: str, first: str, second: str) -> None:
    """Compares two collected rows of FOLDER image by image, for each seed that both have."""
    seeds = [
        {run.name.rpartition("-")[2]: run for run in (RESULTS / folder).glob(f"{row}-seed*")}
        for row in (first, second)
    ]
    both = sorted(seeds[0].keys() & seeds[1].keys())
    if not both:
        raise click.ClickException(
            f"{first} and {second} share no seed in {folder}: allowed are the rows of"
            f" {RESULTS / folder / 'table.md'}"
        )
    for seed in both:
        left, right = (result_of(runs[seed])["after"] for runs in seeds)
        click.echo(f"{first}, {second}, {seed}: {paired(left, right)}")


def result_of(run: Path) -> dict[str, Any]:
    """What a run has found, as it left it or as it was collected."""
    found: dict[str, Any] = json.loads((run / "result.json").read_text("utf-8"))
    return found


def of_planned(folder: str, runs: Path) -> dict[Path, list[Path]]:
    """The recipes in that folder, with the finished runs of each as it is now, of any seed."""
    found: dict[Path, list[Path]] = {}
    for source in sorted((FOLDER / folder).glob("*.yaml")):
        recipe = recipes.load(source)
        for run in sorted(runs.glob(f"{source.stem}-seed*")):
            own = recipes.load(run / "recipe.yaml")
            same = Recipe.model_validate({**own.resolved(), "seed": recipe.seed}) == recipe
            if same and (run / "result.json").is_file():
                found.setdefault(source, []).append(run)
    return found


def collected(folder: str) -> Iterator[comparison.PlannedRun]:
    """The runs of each planned recipe that were copied, in the order of names and seeds."""
    for source in sorted((FOLDER / folder).glob("*.yaml")):
        for run in sorted((RESULTS / folder).glob(f"{source.stem}-seed*")):
            yield comparison.PlannedRun(source.stem, recipes.load(source), run)


def timed(task: Task, recipe: Recipe, path: str) -> dict[str, float]:
    """Processor seconds of one epoch of each phase, from one on few images."""
    told: dict[str, Any] = recipe.model_dump(mode="json")
    told["data"] |= {"path": path, "validation": task.images - task.timed}
    told["model"] |= task.model
    told["training"] |= {"batch_size": BATCH, "threads": 1, "validation_examples": 10}
    told["training"] |= {"validation_attack_steps": 1, "recalibration_examples": 64}
    for phase, own in zip(told["training"]["phases"], recipe.training.phases, strict=True):
        phase |= {"epochs": 1, "budget": None, "criterion": "gates"}
        phase["attack"] |= shortened(task, recipe, own)
    with TemporaryDirectory() as out:
        short = Recipe.model_validate(told)
        *_, trained = train_recipe(
            short, Path(out) / "run", resume=False, console=Console(quiet=True)
        )
        walls = pd.read_csv(Path(out) / "run" / "metrics.csv").set_index("phase")["seconds"]
    epoch = task.trained / task.timed * trained.cpu_seconds / walls.sum()
    return {phase: wall * epoch for phase, wall in walls.items()}


def planned(task: str, recipe: Recipe, factor: float, seconds: float) -> dict[str, Any]:
    """What a recipe says on top of that one, with each phase `factor` as long."""
    own, phases = TASKS[task], []
    for phase in recipe.training.phases:
        scaled = lasting(phase.model_dump(), phase.epochs, factor * phase.epochs)
        attack = shortened(own, recipe, phase)
        changed = {"attack": attack} if attack else {}
        phases.append({"name": phase.name, **scaled, **changed})
    return {
        "base": recipe.name,
        "description": f"{recipe.name} in {seconds:g} seconds of one core,"
        f" on {own.trained:,} images.",
        "data": {"validation": own.images - own.trained},
        **({"model": dict(own.model)} if own.model else {}),
        "training": {
            "batch_size": BATCH,
            "threads": 1,
            "validation_examples": 500,
            "validation_attack_steps": 10,
            "phases": phases,
        },
        "evaluation": {"examples": 500, "autoattack": 100, "sources": [f"runs/{task}-at/model"]},
    }


def lasting(phase: Mapping[str, Any], epochs: int, wanted: float) -> dict[str, Any]:
    """Epochs of a phase that lasts as long as wanted or at least one, and its warm-ups with it."""
    found = max(round(wanted), 1)
    spans = {key: phase[key] for key in IN_EPOCHS if phase.get(key)}
    return {"epochs": found, **{key: span * found / epochs for key, span in spans.items()}}


def shortened(task: Task, recipe: Recipe, phase: Phase) -> dict[str, float]:
    """The attack of a phase in as few steps as the task allows, where it has more."""
    steps = phase.attack.steps
    if steps <= task.steps:
        return {}
    size = phase.attack.step_size or 2.5 * recipe.threat.eps / steps
    return {"steps": task.steps, "step_size": round(size * steps / task.steps, 6)}


if __name__ == "__main__":
    main()

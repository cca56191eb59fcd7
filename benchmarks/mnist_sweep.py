"""What λ, β and the objective bring, on validation images alone.

    python benchmarks/mnist_sweep.py lambda --data FOLDER --widths 3 23 264
    python benchmarks/mnist_sweep.py beta --data FOLDER
    python benchmarks/mnist_sweep.py objective --data FOLDER --widths 3 23 260 --teacher MODEL

`lambda` trains a LeNet-5-Caffe of given widths adversarially with vulnerability suppression at
λ = 0 and over five decades; `beta` prunes with ANP and no budget at several β; `objective` trains
one LeNet-5-Caffe by several robust objectives for the same number of epochs. Runs are short, all
from the same seed; killed, the same command goes on. Test images are never looked at: accuracy
under PGD-20 is that of the run's own validation images, V is taken on all of them under the
published PGD-40.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import torch
from machine import machine

from advprune import data, recipes, shipping
from advprune.evaluation import cost, write_json
from advprune.evaluation.attempt import Target
from advprune.evaluation.sample import gather
from advprune.evaluation.suites import paper_attack
from advprune.recipes.run import run_recipe
from advprune.threat import ThreatModel
from advprune.vulnerability import vulnerability_over

RESULTS = Path(__file__).parent / "results" / "mnist-sweep"
THREAT = ThreatModel("linf", 0.3)
BATCH = 250
LAMBDAS = (0.0, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
BETAS = (0.5, 2.0, 8.0)
OBJECTIVES = ("mnist-at", "mnist-trades", "mnist-rslad")


@click.group()
def main() -> None:
    """Sweeps one coefficient of the MNIST recipes."""


@main.command("lambda")
@click.option("--data", "folder", required=True, help="Folder of the IDX files.")
@click.option("--runs", default="runs/mnist-sweep", type=Path, show_default=True)
@click.option("--widths", nargs=3, type=int, required=True, help="Of the network.")
@click.option("--epochs", default=6, show_default=True)
def sweep_lambda(folder: str, runs: Path, widths: tuple[int, int, int], epochs: int) -> None:
    """Vulnerability suppression at several weights."""
    for weight in LAMBDAS:
        changes = [
            f"model.widths={list(widths)}",
            f"training.phases.train.epochs={epochs}",
            f"training.phases.train.vulnerability_weight={weight}",
        ]
        _point("mnist-at-vs", f"lambda-{weight:g}", {"lambda": weight}, changes, folder, runs)


@main.command("beta")
@click.option("--data", "folder", required=True, help="Folder of the IDX files.")
@click.option("--runs", default="runs/mnist-sweep", type=Path, show_default=True)
def sweep_beta(folder: str, runs: Path) -> None:
    """ANP at several weights of the KL, without a budget."""
    for beta in BETAS:
        changes = [
            f"training.phases.prune.beta={beta}",
            "training.phases.prune.budget=null",
            "training.phases.prune.epochs=3",
            "training.phases.prune.kl_warmup_epochs=1",
            "training.phases.prune.eps_warmup_epochs=1",
            "training.phases.finetune.epochs=3",
        ]
        _point("mnist-anp", f"beta-{beta:g}", {"beta": beta}, changes, folder, runs)


@main.command("objective")
@click.option("--data", "folder", required=True, help="Folder of the IDX files.")
@click.option("--runs", default="runs/mnist-sweep", type=Path, show_default=True)
@click.option("--widths", nargs=3, type=int, required=True, help="Of the network.")
@click.option("--epochs", default=14, show_default=True)
@click.option("--teacher", required=True, help="Robust network that teaches where one is needed.")
def sweep_objective(
    folder: str, runs: Path, widths: tuple[int, int, int], epochs: int, teacher: str
) -> None:
    """Robust objectives on one network."""
    for recipe in OBJECTIVES:
        changes = [f"model.widths={list(widths)}", f"training.phases.train.epochs={epochs}"]
        if recipe == "mnist-rslad":
            changes.append(f"training.phases.train.teacher={teacher}")
        _point(recipe, recipe.removeprefix("mnist-"), {}, changes, folder, runs)


def _point(
    recipe: str,
    name: str,
    setting: Mapping[str, float],
    changes: Iterable[str],
    folder: str,
    runs: Path,
) -> None:
    """Trains one network, or goes on with it, and measures it on its validation images."""
    chosen = recipes.load(
        recipe, [f"data.path={folder}", "evaluation.examples=100", "evaluation.curve=[]", *changes]
    )
    out = runs / name
    run_recipe(chosen, out, resume=out.exists())
    model = shipping.load(out / "model")
    validation = data.load("mnist", path=folder, validation=chosen.data.validation).validation
    forms = vulnerability_over(model, data.batches(validation, BATCH), paper_attack(THREAT))
    found: dict[str, Any] = {
        **setting,
        "recipe": recipe,
        "changes": [change for change in changes if "=/" not in change],  # no folder of a machine
        "training": json.loads((out / "result.json").read_text(encoding="utf-8"))["training"],
        "validation_clean": _clean(model, validation),
        "widths": _widths(model),
        "macs": cost(model, torch.zeros(1, 1, 28, 28)).macs,
        "vulnerability": forms.network,
        "relative": forms.relative,
        "margin_weighted": forms.margin_weighted,
        "machine": machine(),
    }
    write_json(RESULTS / f"{name}.json", found)
    click.echo(
        f"{name}: clean {found['validation_clean']:.3f}, PGD-20"
        f" {found['training']['validation_best']:.3f}, V {forms.network:.4f},"
        f" relative {forms.relative:.3f}, {found['macs']:,} MACs"
    )


def _clean(model: torch.nn.Module, images: data.Images) -> float:
    target = Target(model, gather(images, BATCH, subset=None, seed=0), BATCH, seed=0)
    return float(target.right(target.sample.x, target.rows()).double().mean())


def _widths(model: torch.nn.Module) -> list[int]:
    tensors = model.state_dict()
    return [len(tensors[f"{name}.weight"]) for name in ("conv1", "conv2", "f1")]


if __name__ == "__main__":
    main()

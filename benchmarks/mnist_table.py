"""The MNIST table: LeNet-5-Caffe at eps 0.3, every row trained, attacked and measured alike.

    python benchmarks/mnist_table.py train anp-vs --data FOLDER
    python benchmarks/mnist_table.py judge anp-vs --data FOLDER
    python benchmarks/mnist_table.py table

`train` runs a row's recipe (killed, the same command goes on), `judge` attacks what it saved on
all 10,000 test images and writes benchmarks/results/mnist/ROW.json, `table` puts all such files
into the README and draws docs/mnist-front.svg. Nothing is chosen on the test images. `judge
--strong N` meets the long attack, 20 runs of PGD-40, on N random test images only; the table then
says so. AutoAttack's column comes from autoattack.py.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import pages
import torch
from machine import machine
from torch import nn

from advprune import data, recipes, shipping
from advprune.comparison.front import picture
from advprune.evaluation import cost, evaluate, reference, write_json
from advprune.evaluation.suites import paper_attack
from advprune.models import LeNet5Caffe
from advprune.recipes.run import run_recipe
from advprune.threat import ThreatModel
from advprune.vulnerability import vulnerability_over

RESULTS = Path(__file__).parent / "results" / "mnist"
README = Path(__file__).parents[1] / "README.md"
FRONT = Path(__file__).parents[1] / "docs" / "mnist-front.svg"
THREAT = ThreatModel("linf", 0.3)
UNITS = sum(reference.LENET_WIDTHS)
BATCH = 250
TEST_IMAGES = 10_000


@dataclass(frozen=True)
class Row:
    """One network of the table.

    Attributes:
        title: In the table.
        recipe: Its recipe's name.
        changes: Of the recipe, as on the command line.
        widths_of: Row whose final widths it is trained with from the start.
        narrowed_to: Row whose MACs it is narrowed to, all layers alike.
    """

    title: str
    recipe: str
    changes: tuple[str, ...] = field(default=())
    widths_of: str | None = None
    narrowed_to: str | None = None


_EQUAL = ("training.phases.train.epochs=26",)
"""The controls train for as long as ANP-VS does with all its phases; the table states seconds."""

_SHIFTED = ("training.augment=shift",)
"""Without it the small networks learn their training images by heart: 94 % robust on them, 90 % on
the validation images, after 14 epochs of fine-tuning."""


def _budget(macs: float) -> str:
    return f"training.phases.prune.budget.macs={macs:.4f}"


ROWS = {
    "standard": Row("Standard", "mnist-standard"),
    "bp": Row("BP", "mnist-bp"),
    "at": Row("AT", "mnist-at"),
    "at-vs": Row("AT-VS", "mnist-at-vs"),
    "anp": Row("ANP", "mnist-anp"),
    "anp-vs": Row("ANP-VS", "mnist-anp-vs"),
    "anp-vs-3x": Row("ANP-VS, a third of the MACs", "mnist-anp-vs", (_budget(1 / 3),)),
    "anp-vs-15x": Row("ANP-VS, a fifteenth of the MACs", "mnist-anp-vs", (_budget(1 / 15),)),
    "scratch": Row("final widths of ANP-VS, AT from scratch", "mnist-at", _EQUAL, "anp-vs"),
    "narrow": Row("uniformly narrowed, AT", "mnist-at", _EQUAL, None, "anp-vs"),
    "anp-vs-long": Row(
        "ANP-VS, trained longer on shifted images",
        "mnist-anp-vs",
        (*_SHIFTED, "training.phases.finetune.epochs=60"),
    ),
    "scratch-long": Row(
        "its final widths, AT from scratch, as long, on shifted images",
        "mnist-at",
        (*_SHIFTED, "training.phases.train.epochs=72"),
        "anp-vs-long",
    ),
}
_ANY = click.Choice(list(ROWS))
SOURCE, SOURCE_OF_ITSELF = "at", "at-vs"
"""Transferred images come from the adversarially trained dense net, its own from its sibling."""


@click.group()
def main() -> None:
    """Trains, attacks and tabulates the MNIST rows."""


@main.command()
@click.argument("rows", nargs=-1, required=True, type=_ANY)
@click.option("--data", "folder", required=True, help="Folder of the IDX files.")
@click.option("--runs", default="runs/mnist", type=Path, show_default=True)
def train(rows: tuple[str, ...], folder: str, runs: Path) -> None:
    """Trains rows, or goes on where they stopped."""
    for name in rows:
        row = ROWS[name]
        changes = [f"data.path={folder}", *row.changes, *_widths(row, runs)]
        recipe = recipes.load(row.recipe, changes)
        run_recipe(recipe, runs / name, resume=(runs / name).exists())


@main.command()
@click.argument("rows", nargs=-1, required=True, type=_ANY)
@click.option("--data", "folder", required=True, help="Folder of the IDX files.")
@click.option("--runs", default="runs/mnist", type=Path, show_default=True)
@click.option(
    "--strong", default=None, type=int, help="Images of the long attack; all if left out."
)
def judge(rows: tuple[str, ...], folder: str, runs: Path, strong: int | None) -> None:
    """Attacks rows on the test images and writes down what is left."""
    torch.set_num_threads(1)
    test = data.load("mnist", path=folder, validation=5000).test
    for name in rows:
        sources = _sources(runs / (SOURCE_OF_ITSELF if name == SOURCE else SOURCE) / "model")
        model = shipping.load(runs / name / "model")
        run = json.loads((runs / name / "result.json").read_text(encoding="utf-8"))
        found = {"row": name, "title": ROWS[name].title, **_sizes(model)}
        found |= _vulnerability(model, test)
        for suite, subset in (("paper", None), ("strong", strong)):
            result = evaluate(
                model,
                test,
                THREAT,
                suite,
                sources if suite == "paper" else (),
                batch_size=BATCH,
                subset=subset,
            )
            found[suite] = result.to_dict()
        found |= {"training": run["training"], "machine": machine()}
        write_json(RESULTS / f"{name}.json", found)
        click.echo(f"{name}: {found['paper']['clean']:.4f} {found['strong']['robust']:.4f}")


@main.command()
def table() -> None:
    """Puts the table of all results into the README."""
    found = {path.stem: json.loads(path.read_text("utf-8")) for path in RESULTS.glob("*.json")}
    lines = [_HEAD, "|---|" + "---:|" * (_HEAD.count("|") - 2)]
    lines += [_line(found[name], found.get(f"{name}-autoattack")) for name in ROWS if name in found]
    pages.put(README, "\n".join(lines))
    click.echo("\n".join(lines))
    if judged := {name: found[f"{name}-autoattack"] for name in ROWS if _both(found, name)}:
        pages.write_picture(FRONT, _front(found, judged))


def _both(found: Mapping[str, Any], name: str) -> bool:
    return name in found and f"{name}-autoattack" in found


def _front(found: Mapping[str, Any], judged: Mapping[str, Any]) -> str:
    """AutoAttack accuracy against multiply-accumulates, with its standard error."""
    points, spreads = {}, {}
    for name, attacked in judged.items():
        share, images = attacked["robust"]["accuracy"], attacked["images"]["number"]
        points[name] = (100 * share, float(found[name]["cost"]["macs"]))
        spreads[name] = (100 * (share * (1 - share) / images) ** 0.5, 0.0)
    return picture(points, spreads, "AutoAttack accuracy, %")


def _widths(row: Row, runs: Path) -> list[str]:
    """The widths that a control takes from the network it is compared with."""
    if row.widths_of is None and row.narrowed_to is None:
        return []
    other = shipping.load(runs / str(row.widths_of or row.narrowed_to) / "model")
    first, second, _, hidden = _kept(other)
    widths = (first, second, hidden)
    if row.narrowed_to is not None:
        widths = narrowed(_macs(other))
    return [f"model.widths={list(widths)}"]


def narrowed(macs: int) -> tuple[int, int, int]:
    """The widest LeNet-5-Caffe of at most that many MACs whose layers all keep one share.

    Each width is rounded to a whole number, at least 1.
    """
    shares = [share / 1000 for share in range(1, 1001)]
    widths = [tuple(max(1, round(share * full)) for full in (20, 50, 500)) for share in shares]
    fitting = [w for w in widths if _macs(LeNet5Caffe(widths=w)) <= macs]
    first, second, hidden = fitting[-1]
    return first, second, hidden


def _macs(model: nn.Module) -> int:
    return cost(model, torch.zeros(1, 1, 28, 28)).macs


def _kept(model: nn.Module) -> tuple[int, int, int, int]:
    """Kept channels of both convolutions, inputs and units of the first dense layer."""
    tensors = model.state_dict()
    hidden, inputs = tensors["f1.weight"].shape
    return len(tensors["conv1.weight"]), len(tensors["conv2.weight"]), inputs, hidden


def _sizes(model: nn.Module) -> dict[str, Any]:
    kept = _kept(model)
    small, full = reference.lenet(kept), reference.lenet()
    return {
        "widths": kept,
        "unit_sparsity": 1 - sum(kept) / UNITS,
        "cost": asdict(cost(model, torch.zeros(1, 1, 28, 28))),
        "macs_cut": _macs(LeNet5Caffe()) / _macs(model),
        "reference": {
            "flops_cut": full.flops / small.flops,
            "memory": small.memory / full.memory,
            "memory_as_published": small.memory_as_published / full.memory_as_published,
        },
    }


def _sources(folder: Path) -> dict[str, nn.Module]:
    if folder.is_dir():
        return {"source": shipping.load(folder)}
    click.echo(f"no transfer is measured: {folder} is not there yet", err=True)
    return {}


def _vulnerability(model: nn.Module, test: data.Images) -> dict[str, Any]:
    """All forms of V under the published PGD-40; in the published one, removed units count 0."""
    found = vulnerability_over(model, data.batches(test, BATCH), paper_attack(THREAT))
    totals = {"conv1": 20, "conv2": 50, "f1": 500}
    layers = [float(values.sum()) / totals[name] for name, values in found.features.items()]
    return {
        "vulnerability": {
            "published_form": sum(layers) / len(layers),
            "kept_units": found.network,
            "active_only": found.active_only,
            "relative": found.relative,
            "margin_weighted": found.margin_weighted,
        }
    }


_HEAD = (
    "| | clean % | PGD-40 % | PGD-40 ×10, CE and margin % | transfer % | AutoAttack % (1,000) | V"
    " | V relative | V margin | memory % | FLOPs cut | units cut % | parameters | MACs cut"
    " | widths | training CPU s |"
)


def _line(found: Mapping[str, Any], autoattack: Mapping[str, Any] | None) -> str:
    paper, strong, forms = found["paper"], found["strong"], found["vulnerability"]
    cells = [
        found["title"],
        f"{100 * paper['clean']:.2f}",
        f"{100 * paper['attacks']['pgd40']['accuracy']:.2f}",
        _share(strong),
        _transfer(paper["attacks"]),
        f"{100 * autoattack['robust']['accuracy']:.1f}" if autoattack else "",
        f"{forms['published_form']:.3f}",
        f"{forms['relative']:.3f}",
        f"{forms['margin_weighted']:.2f}",
        f"{100 * found['reference']['memory']:.2f}",
        f"{found['reference']['flops_cut']:.2f}x",
        f"{100 * found['unit_sparsity']:.1f}",
        f"{found['cost']['parameters']:,}",
        f"{found['macs_cut']:.2f}x",
        "-".join(str(width) for width in found["widths"]),
        f"{found['training']['cpu_seconds']:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _transfer(attacks: Mapping[str, Any]) -> str:
    found = attacks.get("transfer:source")
    return f"{100 * found['accuracy']:.2f}" if found else ""


def _share(result: Mapping[str, Any]) -> str:
    """Robust accuracy; with its interval where it rests on a sample of the test images."""
    figure = f"{100 * result['robust']:.2f}"
    if result["examples"] == TEST_IMAGES:
        return figure
    low, high = (100 * end for end in result["robust_interval"])
    return f"{figure} ({low:.1f} to {high:.1f}, {result['examples']:,} images)"


if __name__ == "__main__":
    main()

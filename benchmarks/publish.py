"""Puts a judged network into the zoo, with its model card.

    python benchmarks/publish.py anp-vs mnist-lenet5-anp-vs

The network is the run's saved folder as it is; the card's figures are those of mnist_table.py.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import click
from mnist_table import RESULTS

from advprune.shipping.zoo import ZOO

CARD = """# {name}

LeNet-5-Caffe on MNIST, adversarially pruned ({title}); widths {widths}, {parameters:,} parameters,
{macs:,} multiply-accumulates for one image: {macs_cut:.2f}x fewer than the unpruned network.

| attack, L-inf eps 0.3, MNIST test images | accuracy |
|---|---:|
| none | {clean:.2%} |
| PGD-40 as published, one start, step 0.01, {examples:,} images | {pgd:.2%} |
| PGD-40, 10 restarts, then 10 with the margin, {strong_examples:,} images | {strong:.2%} |
{autoattack}
Input: (batch, 1, 28, 28) in [0, 1], no normalisation outside; output: 10 logits.
Trained for L-inf at eps 0.3 only; other perturbations were not defended against. A figure under
attack is an upper bound: a stronger attack may lower it.

Trained in {seconds:.0f} processor seconds of one core ({processor}); judged with seed {seed} and
torch {torch} at commit {commit}. The same figures again:

    advprune evaluate zoo:{name} --data mnist --path FOLDER --suite strong

MNIST is by LeCun, Cortes and Burges. Method: Madaan, Shin and Hwang, ICML 2020 (arXiv 1908.04355).
"""


@click.command()
@click.argument("row")
@click.argument("name")
@click.option("--runs", default="runs/mnist", type=Path, show_default=True)
def main(row: str, name: str, runs: Path) -> None:
    """Copies a run's model into the zoo and writes its card."""
    found = json.loads((RESULTS / f"{row}.json").read_text(encoding="utf-8"))
    shutil.copytree(runs / row / "model", ZOO / name, dirs_exist_ok=True)
    (ZOO / name / "README.md").write_text(card(name, found, _autoattack(row)), encoding="utf-8")
    click.echo(f"{ZOO / name}")


def card(name: str, found: dict[str, Any], autoattack: str) -> str:
    """Returns the model card in Markdown.

    Args:
        name: In the zoo.
        found: A row's results, as mnist_table.py writes them.
        autoattack: A line of the table, or nothing.
    """
    paper, strong, machine = found["paper"], found["strong"], found["machine"]
    return CARD.format(
        name=name,
        title=found["title"],
        widths="-".join(str(width) for width in found["widths"]),
        parameters=found["cost"]["parameters"],
        macs=found["cost"]["macs"],
        macs_cut=found["macs_cut"],
        clean=paper["clean"],
        examples=paper["examples"],
        pgd=paper["attacks"]["pgd40"]["accuracy"],
        strong_examples=strong["examples"],
        strong=strong["robust"],
        autoattack=autoattack,
        seconds=found["training"]["cpu_seconds"],
        processor=machine["processor"],
        commit=machine["commit"],
        seed=strong["seed"],
        torch=machine["torch"],
    )


def _autoattack(row: str) -> str:
    path = RESULTS / f"{row}-autoattack.json"
    if not path.is_file():
        return ""
    found = json.loads(path.read_text(encoding="utf-8"))
    accuracy = found["robust"]["accuracy"]
    return f"| AutoAttack (reference package), 1,000 random images | {accuracy:.2%} |\n"


if __name__ == "__main__":
    main()

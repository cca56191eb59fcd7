"""What averaging over the gates' posterior is worth: the posterior mean against the expected gates.

    python benchmarks/bayesian.py runs/mnist/anp-vs --data FOLDER --out FILE

The network is the gated one of a finished run, before its gates were folded and what was left was
tuned (`checkpoints/gated`): the tuned network has no posterior any more. The expected gates are
attacked by PGD, the posterior mean by PGD in expectation over draws of the gates. Attacked batches
are kept in `--work`: killed, the same command goes on.

Two sets of foreign images tell whether confidence knows what is no digit. *Rolled*: other test
images, moved by half their height and width, around the border; they have the strokes and the
brightness of digits, so that neither gives them away. *Noise*: uniform, which looks like no data.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import torch
from machine import machine, short
from torch import Tensor

from advprune import models, recipes
from advprune.data.splitting import stratified
from advprune.evaluation import Belief, bayesian, write_json
from advprune.evaluation.bayesian import BINS, Beliefs, own_attacks
from advprune.gates import GatedModel, gate, restore
from advprune.recipes.run import load_data
from advprune.recipes.schema import Recipe
from advprune.training import checkpoint
from advprune.training.parts import GateSettings


def gated_network(run: Path, recipe: Recipe, example: Tensor) -> GatedModel:
    """The gated network that a finished run has folded.

    Raises:
        FileNotFoundError: the run kept none.
    """
    tensors, kept = checkpoint.read(run / "checkpoints" / "gated")
    model = models.build(recipe.model.name, **recipe.model.arguments)
    gates = recipe.gates or GateSettings()
    gated = gate(model, example, gates.family, gates.per_position, **gates.options)
    restore(gated, kept["shape"])
    gated.load_state_dict({name.removeprefix("model."): value for name, value in tensors.items()})
    return gated.eval()


def foreign_images(others: Tensor, seed: int) -> dict[str, Tensor]:
    """Images of no class, made from other images, (images, channels, height, width)."""
    height, width = others.shape[2:]
    generator = torch.Generator().manual_seed(seed)
    return {
        "rolled": others.roll((height // 2, width // 2), (2, 3)),
        "noise": torch.rand(others.shape, generator=generator),
    }


def table(found: dict[str, Beliefs]) -> str:
    """Everything as Markdown; AUROC by foreign set."""
    sets = list(found)
    heads = " | ".join(["accuracy %", "NLL", "ECE %", *(f"AUROC {name}" for name in sets)])
    lines = [f"| network | images | {heads} |", "|---|---|" + "---:|" * (3 + len(sets))]
    for name, by_images in found[sets[0]].items():
        for kind, row in by_images.items():
            areas = [found[foreign][name][kind].foreign_auroc for foreign in sets]
            lines.append(f"| {name} | {kind} | {_cells(row, areas)} |")
    return "\n".join(lines)


def _cells(row: Belief, areas: list[float]) -> str:
    shares = f"{100 * row.accuracy:.1f}", f"{row.nll:.3f}", f"{100 * row.calibration_error:.1f}"
    return " | ".join([*shares, *(f"{area:.3f}" for area in areas)])


@click.command(help=__doc__)
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--data", "folder", default=None, help="Folder of the run's data, if it is elsewhere."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), default=None)
@click.option("--images", "number", default=500, show_default=True, help="Random test images.")
@click.option("--samples", default=16, show_default=True, help="Draws of an answer.")
@click.option("--attack-samples", default=8, show_default=True, help="Draws of an attack's step.")
@click.option("--steps", default=40, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(
    run: Path,
    folder: str | None,
    out: Path,
    work: Path | None,
    number: int,
    samples: int,
    attack_samples: int,
    steps: int,
    seed: int,
) -> None:
    """See the module's text."""
    torch.set_num_threads(1)
    recipe = recipes.load(run / "recipe.yaml", [] if folder is None else [f"data.path={folder}"])
    splits = load_data(recipe)
    others, chosen = stratified(splits.test.y, number, seed)
    sample, threat = splits.test.subset(chosen), recipe.threat.build()
    gated = gated_network(run, recipe, sample.tensors()[0][:2])
    strange = foreign_images(splits.test.subset(others[:number]).tensors()[0], seed)
    found = {
        name: bayesian(
            gated,
            sample.tensors(),
            threat,
            images,
            samples=samples,
            attack_samples=attack_samples,
            steps=steps,
            seed=seed,
            folder=work or out.with_suffix(".work"),
        )
        for name, images in strange.items()
    }
    attacks = own_attacks(threat, steps, attack_samples)
    report: dict[str, Any] = {
        "benchmark": "posterior mean against expected gates",
        "run": short(str(run)),
        "images": {"name": sample.name, "number": len(sample), "seed": seed},
        "data": sample.fingerprint(),
        "samples": samples,
        "attacks": {name: attack.describe() for name, attack in attacks.items()},
        "calibration_bins": BINS,
        "foreign": {
            name: {key: {k: asdict(row) for k, row in rows.items()} for key, rows in each.items()}
            for name, each in found.items()
        },
        "machine": machine(),
    }
    write_json(out, report)
    click.echo(table(found))


if __name__ == "__main__":
    main()

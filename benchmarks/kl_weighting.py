"""Whether the KL of a unit should weigh what the unit costs: VGG-16 and ResNet-18 on MNIST.

    python benchmarks/kl_weighting.py run units macs --data FOLDER
    python benchmarks/kl_weighting.py time
    python benchmarks/kl_weighting.py table

Networks have an eighth of the channels, images a black frame to the 32x32 that VGG-16 takes. For
each network and seed one is trained adversarially; from it, ANP prunes with each weighting of the
KL and each beta, the weight of all of it (0 prunes nothing), and what is left is tuned. Training
sees a fixed subset of the training images, and runs are short: these figures compare the weightings
and nothing else. (Trials on CIFAR-10 ended near chance: in so few steps the noise of sampled gates
drowns what narrow networks have learned of it.) Accuracies are of images held out of the training
ones; the test images are never looked at. Stopped, the same command goes on.

`time` measures all networks in turns, `table` prints Markdown and draws docs/kl-weighting.svg.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import click
import torch
from kl_weighting_table import PICTURE, WEIGHTINGS, as_markdown, as_picture, read
from machine import machine
from rich.console import Console
from torch import nn
from torch.nn.functional import pad

from advprune import data, models, pruning, shipping, training
from advprune.attacks import PGD
from advprune.data.splitting import stratified
from advprune.evaluation import cost, write_json
from advprune.evaluation.attempt import Target, attempt
from advprune.evaluation.sample import gather
from advprune.threat import ThreatModel
from advprune.training.parts import AttackSettings, GateSettings
from advprune.training.settings import Phase, Training

RESULTS = Path(__file__).parent / "results" / "kl-weighting"
NETWORKS = {
    "vgg16": {"width": 0.125, "head_dropout": 0.0, "in_channels": 1},
    "resnet18": {"width": 0.125, "in_channels": 1},
}
BETAS = (12.0, 24.0)
SEEDS = (0, 1, 2)
THREAT = ThreatModel("linf", 0.1)
TRAINED, JUDGED, BATCH, STEPS = 4_000, 2_000, 250, 20
LATENCY_BATCHES = (1, 100)
ATTACK = AttackSettings(steps=1, step_size=0.125)


@dataclass(frozen=True)
class Point:
    """One network of the curves."""

    network: str
    beta: float
    weighting: str
    seed: int

    @property
    def name(self) -> str:
        """What its folder and its result are called."""
        return f"{self.network}-{self.beta:g}-{self.weighting}-{self.seed}"


@click.group(help=__doc__)
def main() -> None:
    """See the module's text."""


@main.command()
@click.argument("weightings", nargs=-1, required=True, type=click.Choice(list(WEIGHTINGS)))
@click.option("--data", "folder", required=True, help="Folder of MNIST.")
@click.option("--network", "networks", multiple=True, type=click.Choice(list(NETWORKS)))
@click.option("--runs", default="runs/kl-weighting", type=Path, show_default=True)
def run(weightings: tuple[str, ...], folder: str, networks: tuple[str, ...], runs: Path) -> None:
    """Trains and measures what is not done yet."""
    torch.set_num_threads(1)
    splits = load_images(folder)
    for point in points(weightings, networks or tuple(NETWORKS)):
        if not (RESULTS / f"{point.name}.json").is_file():
            dense = _dense(point, splits, runs)
            _measure(point, dense, splits, runs)


@main.command()
@click.option("--runs", default="runs/kl-weighting", type=Path, show_default=True)
@click.option("--rounds", default=40, show_default=True)
def time(runs: Path, rounds: int) -> None:
    """Measures the forward passes of all networks of one kind in turns."""
    images = torch.rand(BATCH, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    for kind in NETWORKS:
        folders = sorted(runs.glob(f"{kind}-*/model"))
        networks = {folder.parent.name: shipping.load(folder) for folder in folders}
        found = {
            f"{batch}": {
                name: timed.to_dict()
                for name, timed in shipping.latency(
                    networks, images, batch_size=batch, rounds=rounds
                ).items()
            }
            for batch in LATENCY_BATCHES
        }
        write_json(RESULTS / f"latency-{kind}.json", {"batches": found, "machine": machine()})


@main.command()
def table() -> None:
    """Prints all results as Markdown, and draws them."""
    found = read(RESULTS)
    click.echo(as_markdown(found))
    PICTURE.write_text(as_picture(found), "utf-8")


def points(weightings: tuple[str, ...], networks: tuple[str, ...]) -> Iterator[Point]:
    """Points of some weightings and networks; those of one seed come before the next's.

    Where the KL counts nothing, its weighting is all the same: all curves begin there.
    """
    for seed, network in product(SEEDS, networks):
        yield Point(network, 0.0, "units", seed)
        for beta, weighting in product(BETAS, weightings):
            yield Point(network, beta, weighting, seed)


def load_images(folder: str) -> data.Splits:
    """Images to train on and images to judge by, the same for all seeds."""
    splits = data.load("mnist", path=folder, validation=JUDGED)
    train = splits.train.subset(stratified(splits.train.y, TRAINED, seed=0)[1])
    return data.Splits(_wide(train), _wide(splits.validation), _wide(splits.test))


def _wide(images: data.Images) -> data.Images:
    return replace(images, x=pad(images.x, (2, 2, 2, 2)))


def settings(seed: int, *phases: Phase) -> Training:
    """Of one run; its own validation is small, as nothing is chosen by it."""
    return Training(
        phases=phases,
        seed=seed,
        batch_size=32,
        augment="none",
        threads=1,
        validation_every=1000,
        validation_examples=200,
        validation_attack_steps=2,
    )


PRETRAIN = (
    Phase(name="pretrain", epochs=2, learning_rate=4e-3, schedule="one_cycle"),
    Phase(
        name="harden",
        objective="madry",
        epochs=2,
        learning_rate=2e-3,
        schedule="one_cycle",
        attack=ATTACK,
    ),
)
FINETUNE = Phase(
    name="finetune",
    on="slim",
    objective="adversarial",
    epochs=2,
    learning_rate=2e-3,
    schedule="one_cycle",
    attack=ATTACK,
)


def prune(point: Point) -> Phase:
    """The gated phase: only beta and the weighting differ from point to point."""
    return Phase(
        name="prune",
        on="gated",
        objective="anp",
        epochs=4,
        learning_rate=1e-3,
        gate_learning_rate=1e-1,
        schedule="cosine",
        gradient_clip=5,
        beta=point.beta,
        kl_weighting=point.weighting,
        remove_dead_after=1,
        attack=ATTACK,
    )


def _dense(point: Point, splits: data.Splits, runs: Path) -> nn.Module:
    """The network that all points of its seed begin with; trained where it is not yet."""
    out = runs / f"{point.network}-dense-{point.seed}"
    if not (out / "model").exists():
        with torch.random.fork_rng():
            torch.manual_seed(point.seed)
            model = _without_dropout(models.build(point.network, **NETWORKS[point.network]))
        trained = _trained(model, splits, settings(point.seed, *PRETRAIN), out)
        _save(trained.model, splits, out)
    return _without_dropout(shipping.load(out / "model"))


def _without_dropout(model: nn.Module) -> nn.Module:
    """VGG-16's is made for eight times the channels."""
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    return model


def _measure(point: Point, dense: nn.Module, splits: data.Splits, runs: Path) -> None:
    out = runs / point.name
    trained = _trained(dense, splits, settings(point.seed, prune(point), FINETUNE), out)
    _save(trained.model, splits, out)
    _write(point, point.name, trained, splits)


def _trained(
    model: nn.Module, splits: data.Splits, chosen: Training, out: Path
) -> training.Trained:
    return training.train(
        model,
        splits,
        THREAT,
        chosen,
        out=out,
        slim=pruning.slim,
        gates=GateSettings(options={"start": 4.0}),
        resume=out.exists(),
        console=Console(quiet=True),
    )


def _save(model: nn.Module, splits: data.Splits, out: Path) -> None:
    shipping.save(
        model.cpu().eval(),
        out / "model",
        input_shape=[1, 32, 32],
        input_range=[0.0, 1.0],
        classes=list(splits.train.classes),
    )


def _write(point: Point, name: str, trained: training.Trained, splits: data.Splits) -> None:
    model = trained.model.cpu().eval()
    target = Target(model, gather(splits.validation, BATCH, subset=None, seed=0), BATCH, seed=0)
    attacked = attempt(target, "pgd", PGD(THREAT, steps=STEPS), model, target.rows())
    found = {
        **asdict(point),
        "clean": float(target.right(target.sample.x, target.rows()).double().mean()),
        "robust": float(attacked.right.double().mean()),
        "attack": PGD(THREAT, steps=STEPS).describe(),
        "macs": cost(model, target.sample.x[:1]).macs,
        "parameters": cost(model, target.sample.x[:1]).parameters,
        "cpu_seconds": trained.cpu_seconds,
        "data": {
            "trained_on": splits.train.fingerprint(),
            "judged_on": splits.validation.fingerprint(),
            "images": len(splits.validation),
        },
        "machine": machine(),
    }
    write_json(RESULTS / f"{name}.json", found)
    click.echo(
        f"{name}: clean {found['clean']:.3f}, PGD-{STEPS} {found['robust']:.3f},"
        f" {found['macs']:,} MACs, {trained.cpu_seconds:.0f} s"
    )


if __name__ == "__main__":
    main()

"""Defences that are known to fall, on digits: what PGD, the checks and an attack on each say.

    python benchmarks/defences.py --out benchmarks/results/defences.json

Each network is trained on the digits' training images as its defence demands; its undefended twin
stands in the first row. *plain PGD* is PGD-40 with the cross-entropy, *quick* the suite of that
name with its checks; *adaptive* is each image's worst case over PGD-40 with the cross-entropy, with
the margin, and Square, on the model as it is and with the defence's stand-ins (BPDA), averaged over
draws where it is random (EOT). Accuracies of random models are means over 20 draws.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import torch
from machine import machine
from torch import Tensor, nn
from torch.nn import functional

from advprune.attacks import EOT, PGD, Attack, Distortion, Square, backward_as, identity
from advprune.attacks.bpda import StandIn
from advprune.attacks.losses import margin
from advprune.data import load
from advprune.data.splitting import stratified
from advprune.defences import (
    ActivationPruning,
    BitDepth,
    DeepMask,
    Median,
    NonLocalMeans,
    ResizeAndPad,
    Temperature,
    Thermometer,
    roc_area,
    soft_cross_entropy,
    squeezing_score,
    steady_units,
)
from advprune.evaluation import evaluate, write_json
from advprune.threat import ThreatModel

EPOCHS, BATCH, RATE = 12, 64, 2e-3
DRAWS, SAMPLES, QUERIES = 20, 8, 300
TEMPERATURE = 50.0


@dataclass(frozen=True)
class Trained:
    """A defended network and what an attacker who knows it does.

    Attributes:
        model: The network.
        stand_ins: For `backward_as`.
        random: Whether it draws.
    """

    model: nn.Module
    stand_ins: Mapping[str, StandIn] = field(default_factory=dict)
    random: bool = False


def network(
    front: nn.Module | None = None,
    channels: int = 1,
    side: int = 8,
    inside: Callable[[], nn.Module] = nn.Identity,
) -> nn.Sequential:
    """A layer in front of two convolutions and two dense layers; another after each ReLU."""
    return nn.Sequential(
        front or nn.Identity(),
        nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), inside(),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), inside(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * (side // 2) ** 2, 64), nn.ReLU(), inside(),
        nn.Linear(64, 10),
    )  # fmt: skip


def train(
    model: nn.Module,
    x: Tensor,
    targets: Tensor,
    seed: int,
    adversary: Attack | None = None,
) -> nn.Module:
    """Adam on cross-entropy with classes or probabilities, on attacked images with an adversary."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    loss = functional.cross_entropy if targets.dim() == 1 else soft_cross_entropy
    for _ in range(EPOCHS):
        for part in torch.split(torch.randperm(len(x), generator=generator), BATCH):
            images = x[part]
            if adversary is not None:
                images = adversary(model, images, targets[part], generator=generator)
            model.train()
            optimiser.zero_grad()
            loss(model(images), targets[part]).mean().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return model.eval()


def distilled(x: Tensor, y: Tensor, seed: int) -> Trained:
    """A student of a teacher's soft labels, both at the temperature, without it in the end."""
    teacher = nn.Sequential(network(), Temperature(TEMPERATURE))
    train(teacher, x, y, seed)
    with torch.no_grad():
        soft = teacher(x).softmax(1)
    student = nn.Sequential(network(), Temperature(TEMPERATURE))
    return Trained(train(student, x, soft, seed)[0])  # type: ignore[index]


def masked(x: Tensor, y: Tensor, seed: int, threat: ThreatModel) -> Trained:
    """The plain network without the tenth of its last features that PGD moves most."""
    model = train(network(), x, y, seed)
    assert isinstance(model, nn.Sequential)
    features = model[:-1]
    with torch.no_grad():
        moved = features(PGD(threat, steps=10)(model, x, y))
        mask = steady_units(features(x), moved, 0.1)
    return Trained(nn.Sequential(features, DeepMask(mask), model[-1]))


def squeezed(front: nn.Module, x: Tensor, y: Tensor, seed: int) -> Trained:
    """A network trained plainly, with a squeezer put before it afterwards."""
    stand_ins = {"0": identity} if isinstance(front, BitDepth) else {}
    return Trained(nn.Sequential(front, train(network(), x, y, seed)), stand_ins)


def build(name: str, x: Tensor, y: Tensor, seed: int, threat: ThreatModel) -> Trained:
    """Train a row of the table."""
    torch.manual_seed(seed)
    encoding, padding = Thermometer(16), ResizeAndPad(10)
    rows: dict[str, Callable[[], Trained]] = {
        "undefended": lambda: Trained(train(network(), x, y, seed)),
        "PGD-5 training": lambda: Trained(train(network(), x, y, seed, PGD(threat, steps=5))),
        "bit depth 1": lambda: squeezed(BitDepth(1), x, y, seed),
        "bit depth 2": lambda: squeezed(BitDepth(2), x, y, seed),
        "median 2x2": lambda: squeezed(Median(2), x, y, seed),
        "non-local means": lambda: squeezed(NonLocalMeans(), x, y, seed),
        "thermometer 16": lambda: Trained(
            train(network(encoding, 16), x, y, seed), {"0": encoding.ramp}
        ),
        "resize and pad": lambda: Trained(
            train(network(padding, side=10), x, y, seed), random=True
        ),
        "activation pruning": lambda: Trained(
            train(network(inside=ActivationPruning), x, y, seed), random=True
        ),
        f"distillation T={TEMPERATURE:g}": lambda: distilled(x, y, seed),
        "DeepMask 10 %": lambda: masked(x, y, seed, threat),
    }
    return rows[name]()


NAMES = (
    "undefended",
    "PGD-5 training",
    "bit depth 1",
    "bit depth 2",
    "median 2x2",
    "non-local means",
    "thermometer 16",
    "resize and pad",
    "activation pruning",
    f"distillation T={TEMPERATURE:g}",
    "DeepMask 10 %",
)


def right(model: nn.Module, x: Tensor, y: Tensor, draws: int) -> Tensor:
    """How often each image is answered rightly, (batch,)."""
    with torch.no_grad():
        return torch.stack([model(x).argmax(1) == y for _ in range(draws)]).float().mean(0)


def adaptive(trained: Trained, x: Tensor, y: Tensor, threat: ThreatModel) -> float:
    """Accuracy after the attack made for the defence: worst case of two losses."""
    draws = DRAWS if trained.random else 1
    left = right(trained.model, x, y, draws)
    for stand_ins in ({}, trained.stand_ins) if trained.stand_ins else ({},):
        with backward_as(trained.model, stand_ins):
            for attack in attacks(threat, trained.random):
                x_adv = attack(trained.model, x, y)
                left = torch.minimum(left, right(trained.model, x_adv, y, draws))
    return left.mean().item()


def attacks(threat: ThreatModel, random: bool) -> list[Attack]:
    """PGD-40 with both losses and Square; averaged over draws where the model is random."""
    plain: list[Attack] = [
        PGD(threat, steps=40, loss="cross_entropy", stop_when_fooled=not random),
        PGD(threat, steps=40, loss="margin", stop_when_fooled=not random),
        Square(threat, queries=QUERIES),
    ]
    return [EOT(attack, samples=SAMPLES) for attack in plain] if random else plain


def judge(trained: Trained, x: Tensor, y: Tensor, threat: ThreatModel) -> dict[str, Any]:
    """Every figure of a row."""
    draws = DRAWS if trained.random else 1
    plain = PGD(threat, steps=40)
    result = evaluate(trained.model, (x, y), threat)
    return {
        "clean": right(trained.model, x, y, draws).mean().item(),
        "plain": right(trained.model, plain(trained.model, x, y), y, draws).mean().item(),
        "quick": result.robust,
        "adaptive": adaptive(trained, x, y, threat),
        "warnings": [asdict(finding) for finding in result.warnings],
        "budgets": {name: figure.budget for name, figure in result.attacks.items()},
    }


def detection(
    model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel
) -> dict[str, dict[str, float]]:
    """What the detector by squeezing sees of PGD, blind to it and knowing it."""
    squeezers = [BitDepth(2), Median(2)]

    def knowing(attacked: Any, x_adv: Tensor, _x: Tensor) -> Tensor:
        return margin(attacked(x_adv), y).clamp(max=2.0) - 4 * squeezing_score(
            attacked, [lambda x: x + (BitDepth(2)(x) - x).detach(), squeezers[1]], x_adv
        )

    def area(images: Tensor) -> dict[str, float]:
        with torch.no_grad():
            fooled = model(images).argmax(1) != y
            score = squeezing_score(model, squeezers, images)
            clean = squeezing_score(model, squeezers, x)
        limit = clean.quantile(0.95)
        return {
            "fooled": fooled.float().mean().item(),
            "roc_area": roc_area(clean, score[fooled]) if fooled.any() else 0.5,
            "fooled_unseen_at_5_percent_false": (fooled & (score <= limit)).float().mean().item(),
        }

    blind = PGD(threat, steps=40, stop_when_fooled=False)(model, x, y)
    return {
        "blind": area(blind),
        "knowing": area(Distortion(threat, knowing, steps=100)(model, x, y)),
    }


def named(findings: Sequence[Mapping[str, Any]], level: str) -> str:
    """The names of a level's findings."""
    return ", ".join(found["name"] for found in findings if found["level"] == level) or "none"


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| defence | clean % | plain PGD-40 % | quick % | adaptive % | alarms | warnings |",
        "|---|---:|---:|---:|---:|---|---|",
    ]
    for name, row in rows.items():
        figures = [f"{100 * row[key]:.1f}" for key in ("clean", "plain", "quick", "adaptive")]
        said = [
            ", ".join(found["name"] for found in row["warnings"] if found["level"] == level)
            or "none"
            for level in ("alarm", "warning")
        ]
        lines.append(f"| {' | '.join([name, *figures, *said])} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--images", "number", default=40, show_default=True, help="Random test images.")
@click.option("--eps", default="0.1", show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(out: Path, number: int, eps: str, seed: int) -> None:
    """See the module's text."""
    torch.set_num_threads(1)
    digits, threat = load("digits", validation=0), ThreatModel("linf", eps)
    x, y = digits.train.tensors()
    chosen = digits.test.subset(stratified(digits.test.y, number, seed)[1])
    test, labels = chosen.tensors()
    rows: dict[str, Any] = {}
    for name in NAMES:
        rows[name] = judge(build(name, x, y, seed, threat), test, labels, threat)
        click.echo(table({name: rows[name]}).splitlines()[-1])
    plain = build("undefended", x, y, seed, threat).model
    report = {
        "benchmark": "defences of others on digits",
        "threat": {"norm": threat.norm, "eps": threat.eps},
        "images": {"name": digits.test.name, "number": number},
        "data": chosen.fingerprint(),
        "training": {"epochs": EPOCHS, "batch": BATCH, "rate": RATE},
        "seed": seed,
        "adaptive": [attack.describe() for attack in attacks(threat, random=True)],
        "draws": DRAWS,
        "rows": rows,
        "detection": detection(plain, test, labels, threat),
        "machine": machine(),
    }
    write_json(out, report)
    click.echo(table(rows))
    click.echo(report["detection"])


if __name__ == "__main__":
    main()

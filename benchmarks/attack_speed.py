"""PGD-40 on dense LeNet-5-Caffe: images a second against torchattacks, foolbox and ART.

Every library attacks the same images of the same network with the same threat, steps, step size and
one random start, in turns within one process. The network's parameters need no gradient, which
spares the rivals that would compute it. Each library runs at whichever batch size serves it best.
Seconds are the processor's, all threads together, so that other work on the machine counts less.
Beside them stand the floating-point operations a second that the attack needs at the least (a
forward pass and as much again for the gradient) and those of a product of matrices: no float32
attack that makes all its passes is faster than that.

    .venv-bench/bin/python benchmarks/attack_speed.py --data mnist:FOLDER --model FOLDER --out FILE

Without --model, a network is first trained adversarially for some minutes.
"""

import json
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
import torch
from machine import limit, machine, short, timed
from torch import Tensor, nn
from torch.nn import functional

from advprune.attacks import PGD
from advprune.data import Images, batches, load
from advprune.data.splitting import stratified
from advprune.evaluation import cost, write_json
from advprune.models import build
from advprune.shipping import load as load_model
from advprune.threat import ThreatModel

THREAT = ThreatModel(norm="linf", eps=0.3)
STEPS = 40
STEP_SIZE = 0.01
OWN: dict[str, dict[str, Any]] = {
    "advprune, every image stays": {"stop_when_fooled": False, "keep": "last"},
    "advprune, every image stays, best iterate": {"stop_when_fooled": False},
    "advprune, fooled images leave": {},
    "advprune, every image stays, bfloat16": {
        "stop_when_fooled": False,
        "keep": "last",
        "precision": "bfloat16",
    },
    "advprune, fooled images leave, bfloat16": {"precision": "bfloat16"},
}
"""Our forms of PGD. The first is the rivals' own protocol; the third is our default."""

BFLOAT16 = {name for name, settings in OWN.items() if "precision" in settings}
"""Those that only gain where the processor multiplies bfloat16."""

Arm = Callable[[Tensor, Tensor], Tensor]


def own_attacks() -> dict[str, PGD]:
    """Our forms of the one attack."""
    return {
        name: PGD(THREAT, steps=STEPS, step_size=STEP_SIZE, **settings)
        for name, settings in OWN.items()
    }


def own_arms(model: nn.Module, left_out: set[str], seed: int) -> dict[str, Arm]:
    """Our forms, each a function of a batch of images and labels to attacked images."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: partial(attack, model, generator=generator)
        for name, attack in own_attacks().items()
        if name not in left_out
    }


def torchattacks_arm(model: nn.Module) -> Arm:
    """PGD of torchattacks."""
    pgd = import_module("torchattacks").PGD
    attack: Arm = pgd(model, eps=THREAT.eps, alpha=STEP_SIZE, steps=STEPS, random_start=True)
    return attack


def foolbox_arm(model: nn.Module) -> Arm:
    """LinfPGD of foolbox, by its quickest entry."""
    foolbox = import_module("foolbox")
    victim = foolbox.PyTorchModel(model, bounds=THREAT.bounds, device="cpu")
    attack = foolbox.attacks.LinfPGD(abs_stepsize=STEP_SIZE, steps=STEPS, random_start=True)

    def run(x: Tensor, y: Tensor) -> Tensor:
        x_adv: Tensor = attack.run(victim, x, y, epsilon=THREAT.eps)
        return x_adv

    return run


def toolbox_arm(model: nn.Module) -> Arm:
    """The PGD of the Adversarial Robustness Toolbox, in its own form for torch."""
    evasion = import_module("art.attacks.evasion")
    classification = import_module("art.estimators.classification")

    def run(x: Tensor, y: Tensor) -> Tensor:
        attack = evasion.ProjectedGradientDescentPyTorch(
            victim(x),
            norm=np.inf,
            eps=THREAT.eps,
            eps_step=STEP_SIZE,
            max_iter=STEPS,
            num_random_init=1,
            batch_size=len(x),
            verbose=False,
        )
        return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))

    def victim(x: Tensor) -> Any:
        return classification.PyTorchClassifier(
            model,
            loss=nn.CrossEntropyLoss(),
            input_shape=tuple(x.shape[1:]),
            nb_classes=10,
            clip_values=THREAT.bounds,
            device_type="cpu",
        )

    return run


RIVALS: dict[str, Callable[[nn.Module], Arm]] = {
    "torchattacks": torchattacks_arm,
    "foolbox": foolbox_arm,
    "adversarial-robustness-toolbox": toolbox_arm,
}


def attack_all(arm: Arm, images: Images, batch: int) -> tuple[Tensor, float]:
    """Every image attacked, and the processor seconds it took."""
    parts = list(batches(images, batch))
    attacked, seconds = timed(lambda: [arm(x, y).detach() for x, y in parts])
    return torch.cat(attacked), seconds["processor"]


def judge(model: nn.Module, images: Images, x_adv: Tensor) -> dict[str, float]:
    """Accuracy on attacked images, and how far they went."""
    x, y = images.tensors()
    with torch.no_grad():
        right = torch.cat([model(part).argmax(1) for part in torch.split(x_adv, 250)]) == y
    return {
        "robust_accuracy": right.double().mean().item(),
        "largest_perturbation": THREAT.distance(x_adv, x).max().item(),
    }


def race(
    model: nn.Module,
    images: Images,
    sizes: tuple[int, ...],
    rounds: int,
    left_out: set[str],
    seed: int,
) -> list[dict[str, Any]]:
    """Time every arm in turns, each at its best batch size; one row an arm."""
    macs = cost(model, images.x[:1].float()).macs
    competitors = own_arms(model, left_out, seed) | {
        name: make(model) for name, make in RIVALS.items()
    }
    torch.manual_seed(seed)  # the rivals draw from the global random states
    np.random.seed(seed)  # noqa: NPY002
    best = {}
    for name, arm in competitors.items():
        seconds = {size: attack_all(arm, images, size)[1] for size in sizes}
        best[name] = min(seconds, key=seconds.__getitem__)
    times: dict[str, list[float]] = {name: [] for name in competitors}
    found: dict[str, Tensor] = {}
    for turn in range(rounds):
        for name, arm in competitors.items():
            found[name], seconds_taken = attack_all(arm, images, best[name])
            times[name].append(seconds_taken)
        click.echo(f"round {turn + 1} of {rounds}", err=True)
    return [
        {
            "arm": name,
            "batch": best[name],
            "images_per_second": len(images) / median(times[name]),
            "flops": 4 * macs * STEPS * len(images) / median(times[name]),
            "slowest": len(images) / max(times[name]),
            "fastest": len(images) / min(times[name]),
            **judge(model, images, found[name]),
        }
        for name in competitors
    ]


def ratios(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Speed of each of our forms over that of the fastest rival."""
    speeds = {row["arm"]: row["images_per_second"] for row in rows}
    rival = max(RIVALS, key=speeds.__getitem__)
    own = {name: speeds[name] / speeds[rival] for name in OWN if name in speeds}
    return {"fastest_rival": rival, **own}


def trained(images: Images, steps: int, seed: int) -> nn.Module:
    """A LeNet trained adversarially for a short while, eps rising over the first third."""
    torch.manual_seed(seed)
    model = build("lenet5_caffe")
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    done = 0
    while done < steps:
        for x, y in batches(images, 128, generator=generator, shuffle=True, drop_last=True):
            if done == steps:
                break
            threat = THREAT.at(THREAT.eps * min(1, 3 * (done + 1) / steps))
            attack = PGD(threat, steps=7, stop_when_fooled=False, keep="last")
            x_adv = attack(model, x, y, generator=generator)
            loss = functional.cross_entropy(model(torch.cat([x, x_adv])), torch.cat([y, y]))
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            done += 1
    return model


@click.command(help=__doc__)
@click.option("--data", required=True, help="Data set, such as mnist:FOLDER.")
@click.option("--model", "source", help="Saved dense network; none trains one first.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--images", "number", default=500, show_default=True, help="Random test images.")
@click.option("--batch", "sizes", type=int, multiple=True, default=(64, 128, 250))
@click.option("--threads", type=int, multiple=True, default=(1, 2))
@click.option("--rounds", default=5, show_default=True, help="Turns of every library.")
@click.option("--bfloat16/--no-bfloat16", default=True, help="Whether to run those of ours.")
@click.option("--train-steps", default=700, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(
    data: str,
    source: str | None,
    out: Path,
    number: int,
    sizes: tuple[int, ...],
    threads: tuple[int, ...],
    rounds: int,
    bfloat16: bool,
    train_steps: int,
    seed: int,
) -> None:
    """See the module's text."""
    splits = load(data)
    images = splits.test.subset(stratified(splits.test.y, number, seed)[1])
    model = load_model(source) if source else trained(splits.train, train_steps, seed)
    model.eval().requires_grad_(requires_grad=False)
    results = {}
    for count in threads:
        torch.set_num_threads(count)
        rows = race(model, images, sizes, rounds, set() if bfloat16 else BFLOAT16, seed)
        results[f"threads={count}"] = {
            "arms": rows,
            "ratio_to_fastest_rival": ratios(rows),
            "limit_flops": limit(),
        }
    report = {
        "benchmark": "PGD-40 on dense LeNet-5-Caffe, float32 unless said otherwise",
        "model": short(source)
        if source
        else f"trained here: PGD-7, {train_steps} steps of 128 images",
        "data": {"name": images.name, "images": number, "sha256": images.fingerprint()},
        "attack": {"eps": THREAT.eps, "steps": STEPS, "step_size": STEP_SIZE, "restarts": 1},
        "own_budgets": {name: attack.describe() for name, attack in own_attacks().items()},
        "batch_sizes_tried": sizes,
        "rounds": rounds,
        "seed": seed,
        "machine": machine(*RIVALS),
        "results": results,
    }
    write_json(out, report)
    for setting, result in results.items():
        click.echo(f"{setting}: {json.dumps(result['ratio_to_fastest_rival'])}")


if __name__ == "__main__":
    main()

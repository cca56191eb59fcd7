"""Detectors of attacked digits against an attack that does not know of them, and one that does.

    python benchmarks/detection.py --out benchmarks/results/detection.json

The classifier is the undefended network of `known_defences.py`. Feature squeezing calls an image
attacked where two bits a pixel or a 2x2 median change the answer much; likelihood, where a PixelCNN
of the training images finds it unlikely. *Blind* is PGD-40 on the cross-entropy; *knowing* is
`Evasion`. The limits of the scores are quantiles of training images.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import torch
from known_defences import EPOCHS, LEVELS, build, density
from machine import machine
from torch import Tensor, nn

from advprune.attacks import Evasion
from advprune.data import load
from advprune.data.splitting import stratified
from advprune.defences import BitDepth, Median, roc_area, squeezing_score
from advprune.evaluation import write_json
from advprune.threat import ThreatModel

STEPS, RESTARTS, HARMLESS = 200, 2, 400
FALSE_ALARMS = (0.01, 0.05, 0.1)


def straight(front: nn.Module) -> Callable[[Tensor], Tensor]:
    """A layer with the identity's gradient."""
    return lambda x: x + (front(x) - x).detach()


def squeezing(model: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The detector by feature squeezing, differentiable."""
    return squeezing_score(model, [straight(BitDepth(2)), Median(2)], x)


def detection(
    model: nn.Module,
    score: Callable[[Any, Tensor], Tensor],
    clean: Tensor,
    test: tuple[Tensor, Tensor],
    threat: ThreatModel,
) -> dict[str, Any]:
    """What a detector sees of PGD-40 that is blind to it, and of `Evasion`.

    The limits above which an image is called attacked are quantiles of other clean images.
    """
    x, y = test
    with torch.no_grad():
        harmless, own = score(model, clean), score(model, x)
    limits = {share: harmless.quantile(1 - share) for share in FALSE_ALARMS}

    def seen(images: Tensor) -> dict[str, Any]:
        with torch.no_grad():
            fooled = model(images).argmax(1) != y
            scores = score(model, images)
        return {
            "fooled": fooled.float().mean().item(),
            "roc_area": roc_area(own, scores[fooled]) if fooled.any() else None,
            "fooled_unseen": {
                str(share): (fooled & (scores <= limit)).float().mean().item()
                for share, limit in limits.items()
            },
        }

    knowing = Evasion(threat, score, steps=STEPS, restarts=RESTARTS)
    return {
        "false_alarms": {
            str(share): (own > limit).float().mean().item() for share, limit in limits.items()
        },
        "blind": seen(knowing.blind(model, x, y)),
        "knowing": seen(knowing(model, x, y)),
        "attack": knowing.describe(),
    }


def detectors(found: Mapping[str, Mapping[str, Any]]) -> str:
    """What detectors saw, as Markdown."""
    shares = " | ".join(f"unseen at {100 * share:g} % false %" for share in FALSE_ALARMS)
    lines = [f"| detector | attack | fooled % | ROC area | {shares} |"]
    lines.append("|---|---|" + "---:|" * (2 + len(FALSE_ALARMS)))
    for name, detector in found.items():
        for attack in ("blind", "knowing"):
            row = detector[attack]
            unseen = (f"{100 * share:.1f}" for share in row["fooled_unseen"].values())
            area = "" if row["roc_area"] is None else f"{row['roc_area']:.2f}"
            cells = [name, attack, f"{100 * row['fooled']:.1f}", area, *unseen]
            lines.append(f"| {' | '.join(cells)} |")
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
    plain, likely = build("undefended", x, y, seed, threat).model, density(x, seed)
    scores: dict[str, Callable[[Any, Tensor], Tensor]] = {
        "feature squeezing": squeezing,
        f"likelihood, {LEVELS} levels": lambda _, images: likely.surprise(images),
    }
    found = {
        name: detection(plain, score, x[:HARMLESS], chosen.tensors(), threat)
        for name, score in scores.items()
    }
    report = {
        "benchmark": "detectors of attacked digits",
        "threat": {"norm": threat.norm, "eps": threat.eps},
        "images": {"name": digits.test.name, "number": number, "harmless": HARMLESS},
        "data": chosen.fingerprint(),
        "training": {"epochs": EPOCHS},
        "seed": seed,
        "detectors": found,
        "machine": machine(),
    }
    write_json(out, report)
    click.echo(detectors(found))


if __name__ == "__main__":
    main()

"""The attacks of AutoAttack, each alone, against those of the reference package.

Both attack the same random images, all that the network classifies rightly, at the same budgets:
how many each leaves right, on the mean over seeds (two runs of one attack differ by more than we
allow), and whether our images pass the reference's own look at norm and range.
The images are drawn from the whole data set, since here they need to be many, not unseen.

The reference's Square never places a square on the last row or column, where 15 of the 64 pixels
of a digit lie: `square-everywhere` is the reference with that mended.

    .venv-bench/bin/python benchmarks/autoattack_parity.py MODEL --data mnist:FOLDER --out FILE

MODEL is a folder with a saved model, zoo:NAME, or small:plain and small:batch-norm for digits.
"""

import json
import re
import time
from importlib import import_module
from pathlib import Path
from statistics import mean
from typing import Any

import click
import torch
from machine import machine, short
from small_nets import PREFIX, small_net
from torch import Tensor, nn

from advprune.attacks import APGD, FAB, Attack, Square, TargetedAPGD, TargetedFAB
from advprune.data import Images, load
from advprune.data.splitting import stratified
from advprune.evaluation import write_json
from advprune.shipping import load as load_model
from advprune.threat import TOLERANCE, ThreatModel

POINTS = 0.3
"""Difference in percentage points that is put down to chance."""


def ours(threat: ThreatModel, steps: int, queries: int) -> dict[str, Attack]:
    """Our attacks by the reference's names."""
    return {
        "apgd-ce": APGD(threat, steps=steps),
        "apgd-dlr": APGD(threat, steps=steps, loss="dlr"),
        "apgd-t": TargetedAPGD(threat, steps=steps),
        "fab": FAB(threat, steps=steps, stop_when_fooled=True),
        "fab-t": TargetedFAB(threat, steps=steps, stop_when_fooled=True),
        "square": Square(threat, queries=queries),
        "square-everywhere": Square(threat, queries=queries),
    }


def theirs(
    model: nn.Module, threat: ThreatModel, name: str, steps: int, queries: int, seed: int
) -> Any:
    """The reference with one attack at those budgets."""
    suite = import_module("pyautoattack").AutoAttack(
        model,
        norm=threat.norm.capitalize(),
        eps=threat.eps,
        seed=seed,
        version="custom",
        attacks=[name.removesuffix("-everywhere")],
    )
    if name == "square-everywhere":
        places = suite.square.random_int
        suite.square.random_int = lambda low, high: places(low, high + 1)
    suite.apgd.n_restarts = suite.fab.n_restarts = 1
    suite.fab.n_iter, suite.square.n_queries = steps, queries
    for apgd in (suite.apgd, suite.apgd_targeted):
        apgd.n_iter = apgd.n_iter_orig = steps
        apgd.use_largereps = threat.norm == "l1"
        apgd.n_iter_2, apgd.n_iter_min, apgd.size_decr = (
            max(int(share * steps), 1) for share in (0.22, 0.06, 0.03)
        )
    return suite


def compare(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    name: str,
    *,
    steps: int,
    queries: int,
    batch: int,
    seed: int,
) -> dict[str, Any]:
    """Survivors and CPU seconds of both; the reference's own look at our images."""
    reference = theirs(model, threat, name, steps, queries, seed)
    attack = ours(threat, steps, queries)[name]
    generator = torch.Generator().manual_seed(seed)
    start = time.process_time()
    expected = reference.run_standard_evaluation(x, y, batch_size=batch)[0]
    between = time.process_time()
    found = torch.cat(
        [
            attack(model, *part, generator=generator)
            for part in zip(torch.split(x, batch), torch.split(y, batch), strict=True)
        ]
    )
    end = time.process_time()
    left = {"reference": _right(model, expected, y), "ours": _right(model, found, y)}
    return {
        "survivors": left,
        "points": 100 * (left["ours"] - left["reference"]) / len(y),
        "cpu_seconds": {"reference": between - start, "ours": end - between},
        "valid": valid(found, x, threat),
        "budget": attack.describe(),
    }


def valid(found: Tensor, x: Tensor, threat: ThreatModel) -> bool:
    """Whether the reference's check finds our images within ball and range."""
    told = import_module("pyautoattack.other_utils").check_imgs(found, x, threat.norm.capitalize())
    size, missing, most, least = (float(number) for number in re.findall(r": (-?[\d.]+)", told))
    slack = TOLERANCE * {"linf": 1.0, "l2": x[0].numel() ** 0.5, "l1": x[0].numel()}[threat.norm]
    return size <= threat.eps + slack + 1e-5 and missing == 0 and most <= 1 and least >= 0


def everything(data: str) -> Images:
    """All images of a data set."""
    splits = load(data)
    parts = [part.tensors() for part in (splits.train, splits.validation, splits.test)]
    x, y = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return Images(x, y, splits.test.classes, data)


def network(source: str, images: Images) -> nn.Module:
    """The saved network, or the small one of that name, trained on the images."""
    if source.startswith(PREFIX):
        return small_net(source.removeprefix(PREFIX), *images.tensors())
    return load_model(source)


def _right(model: nn.Module, x: Tensor, y: Tensor) -> int:
    with torch.no_grad():
        return int((model(x).argmax(1) == y).sum())


@click.command(help=__doc__)
@click.argument("source", metavar="MODEL")
@click.option("--data", required=True, help="Data set, such as mnist:FOLDER.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--images", "number", default=1000, show_default=True, help="Random images.")
@click.option("--norm", type=click.Choice(["linf", "l2", "l1"]), default="linf", show_default=True)
@click.option("--eps", default="0.3", show_default=True)
@click.option("--attack", "names", multiple=True, help="Only these.  [default: all]")
@click.option("--steps", default=100, show_default=True)
@click.option("--queries", default=5000, show_default=True)
@click.option("--batch", default=250, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the images; the first run's.")
@click.option(
    "--seeds", default=1, show_default=True, help="Runs of both, of which the mean counts."
)
def main(
    source: str,
    data: str,
    out: Path,
    number: int,
    norm: str,
    eps: str,
    names: tuple[str, ...],
    steps: int,
    queries: int,
    batch: int,
    seed: int,
    seeds: int,
) -> None:
    """See the module's text."""
    torch.set_num_threads(1)
    threat = ThreatModel(norm, eps)
    whole = everything(data)
    images = whole.subset(stratified(whole.y, number, seed)[1]) if number < len(whole) else whole
    model = network(source, whole).eval().requires_grad_(requires_grad=False)
    x, y = images.tensors()
    with torch.no_grad():
        right = model(x).argmax(1) == y
    x, y = x[right], y[right]
    rows: dict[str, Any] = {}
    for name in names or ours(threat, steps, queries):
        runs = [
            compare(model, x, y, threat, name, steps=steps, queries=queries, batch=batch, seed=each)
            for each in range(seed, seed + seeds)
        ]
        rows[name] = {"points": mean(run["points"] for run in runs), "runs": runs}
        click.echo(f"{name}: {json.dumps([run['survivors'] for run in runs])}", err=True)
    report = {
        "benchmark": "each attack alone, ours and the reference's, on images classified rightly",
        "model": short(source),
        "data": {"name": data.partition(":")[0], "images": len(images), "right": len(y)},
        "seed": seed,
        "seeds": seeds,
        "threat": {"norm": norm, "eps": threat.eps},
        "batch": batch,
        "machine": machine("pyautoattack"),
        "results": rows,
        "within": {name: abs(row["points"]) <= POINTS for name, row in rows.items()},
    }
    write_json(out, report)


if __name__ == "__main__":
    main()

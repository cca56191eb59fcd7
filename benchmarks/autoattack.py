"""AutoAttack's standard version, by the reference package, on random test images.

APGD-CE, APGD-T, FAB-T and Square in this order, at the reference's own budgets; an image enters an
attack only if every earlier one left it right. Killed at any moment, the same command goes on at
the batch where it was; what it found so far stands in FILE.state.json.

    .venv-bench/bin/python benchmarks/autoattack.py MODEL --data mnist:FOLDER --out FILE

MODEL is a folder with a saved model, or zoo:NAME.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import torch
from machine import machine, short
from torch import Tensor, nn

from advprune.data import Images, load
from advprune.data.splitting import stratified
from advprune.evaluation import interval, write_json
from advprune.shipping import load as load_model
from advprune.shipping import locate, read_manifest
from advprune.threat import ThreatModel

ATTACKS = {
    "apgd-ce": {"steps": 100, "restarts": 1},
    "apgd-t": {"steps": 100, "restarts": 1, "targets": 9},
    "fab-t": {"steps": 100, "restarts": 1, "targets": 9},
    "square": {"queries": 5000, "restarts": 1},
}
"""What the reference's standard version runs, in its order, and its budgets."""
SQUARE_MARGIN = 0.002
"""Square may break this share more than the white-box attacks before the reference objects."""

Attack = Callable[[str, Tensor, Tensor], Tensor]
State = dict[str, Any]


def reference(model: nn.Module, threat: ThreatModel, seed: int) -> Attack:
    """The reference's standard attacks, each a function of (its name, images, labels)."""
    package = import_module("pyautoattack")
    suite = package.AutoAttack(
        model, norm=threat.norm.capitalize(), eps=threat.eps, seed=seed, version="standard"
    )
    if (budgets := _budgets(suite)) != ATTACKS:
        raise RuntimeError(f"the reference runs {budgets}, not {ATTACKS}")

    def attack(name: str, x: Tensor, y: Tensor) -> Tensor:
        suite.attacks_to_run = [name]
        x_adv: Tensor = suite.run_standard_evaluation(x, y, batch_size=len(x))[0]
        return x_adv

    return attack


def _budgets(suite: Any) -> dict[str, dict[str, int]]:
    """What the reference is about to run, read off its own attacks."""
    apgd, targeted, fab, square = suite.apgd, suite.apgd_targeted, suite.fab, suite.square
    known = {
        "apgd-ce": {"steps": apgd.n_iter, "restarts": apgd.n_restarts},
        "apgd-t": {
            "steps": targeted.n_iter,
            "restarts": targeted.n_restarts,
            "targets": targeted.n_target_classes,
        },
        "fab-t": {"steps": fab.n_iter, "restarts": fab.n_restarts, "targets": fab.n_target_classes},
        "square": {"queries": square.n_queries, "restarts": square.n_restarts},
    }
    return {name: known[name] for name in suite.attacks_to_run}


def evaluate(
    model: nn.Module,
    images: Images,
    threat: ThreatModel,
    attack: Attack,
    *,
    batch: int,
    state_file: Path,
    task: dict[str, Any],
) -> State:
    """Run all attacks, batch after batch, from where the state file stands.

    Args:
        model: The network, in evaluation mode.
        images: What is attacked.
        threat: What attacked images must obey.
        attack: Attacks one batch by the attack of that name.
        batch: Images a call.
        state_file: Rewritten after every batch.
        task: What makes two runs the same; a state of another task is refused.

    Returns:
        The finished state: which images entered each attack, which it broke, and its seconds.

    Raises:
        ValueError: If the state file belongs to another task.
    """
    x, y = images.tensors()
    state = _read(state_file, task)
    if "clean" not in state:
        state["clean"] = _right(model, x, y, range(len(y)), batch)
    survivors: list[int] = state["clean"]
    for name in ATTACKS:
        done = state["attacks"].setdefault(name, _fresh(survivors))
        while done["next"] < len(done["entered"]):
            rows = done["entered"][done["next"] : done["next"] + batch]
            start = time.perf_counter()
            with _collected(state["warnings"]):
                x_adv = attack(name, x[rows], y[rows])
            done["seconds"] += time.perf_counter() - start
            threat.audit(x_adv, x[rows])
            kept = _right(model, x_adv, y[rows], rows, batch)
            done["broken"] += sorted(set(rows) - set(kept))
            done["next"] += len(rows)
            write_json(state_file, state)
            left = len(done["entered"]) - len(done["broken"])
            click.echo(f"{name}: {done['next']} of {len(done['entered'])}, {left} stand", err=True)
        survivors = sorted(set(done["entered"]) - set(done["broken"]))
    return state


def _fresh(entered: list[int]) -> dict[str, Any]:
    return {"entered": entered, "broken": [], "next": 0, "seconds": 0.0}


def _right(model: nn.Module, x: Tensor, y: Tensor, rows: Any, batch: int) -> list[int]:
    """Those of ``rows`` that the model gets right."""
    with torch.no_grad():
        answers = torch.cat([model(part).argmax(1) for part in torch.split(x, batch)])
    return [row for row, right in zip(rows, (answers == y).tolist(), strict=True) if right]


def _read(state_file: Path, task: dict[str, Any]) -> State:
    if not state_file.is_file():
        return {"task": task, "attacks": {}, "warnings": []}
    state: State = json.loads(state_file.read_text(encoding="utf-8"))
    if state["task"] != task:
        raise ValueError(
            f"{state_file} belongs to {state['task']}, this is {task}; remove it or give "
            "another --out"
        )
    return state


def figures(state: State, number: int) -> dict[str, Any]:
    """Accuracies with their exact 95 % intervals, and what each attack did."""
    attacks = {}
    for name, budget in ATTACKS.items():
        done = state["attacks"][name]
        left = len(done["entered"]) - len(done["broken"])
        attacks[name] = {
            "budget": budget,
            "entered": len(done["entered"]),
            "survivors": left,
            "accuracy_so_far": left / number,
            "seconds": done["seconds"],
        }
    last = list(attacks.values())[-1]
    return {
        "clean": _share(len(state["clean"]), number),
        "robust": _share(last["survivors"], number),
        "attacks": attacks,
        "seconds": sum(attack["seconds"] for attack in attacks.values()),
        "warnings": [*state["warnings"], *_square_warning(attacks)],
    }


def _share(count: int, number: int) -> dict[str, Any]:
    """A share of images with its 95 % interval (Clopper and Pearson, 1934)."""
    return {"accuracy": count / number, "interval_95": list(interval(count, number))}


def _square_warning(attacks: dict[str, dict[str, Any]]) -> list[str]:
    gained = attacks["fab-t"]["accuracy_so_far"] - attacks["square"]["accuracy_so_far"]
    if gained <= SQUARE_MARGIN:
        return []
    return [f"Square broke {100 * gained:.2f} points more than all white-box attacks before it"]


class _Collector(logging.Handler):
    """Keeps each different text once."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.texts = texts

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record's text."""
        if (text := record.getMessage()) not in self.texts:
            self.texts.append(text)


@contextmanager
def _collected(texts: list[str]) -> Iterator[None]:
    """Add what the reference warns of meanwhile to ``texts``."""
    logger, collector = logging.getLogger("auto-attack"), _Collector(texts)
    logger.addHandler(collector)
    try:
        yield
    finally:
        logger.removeHandler(collector)


@click.command(help=__doc__)
@click.argument("source", metavar="MODEL")
@click.option("--data", required=True, help="Data set, such as mnist:FOLDER.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--images", "number", default=1000, show_default=True, help="Random test images.")
@click.option("--eps", default="0.3", show_default=True)
@click.option("--norm", type=click.Choice(["linf", "l2"]), default="linf", show_default=True)
@click.option("--batch", default=250, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Draws the images and the noise.")
def main(
    source: str,
    data: str,
    out: Path,
    number: int,
    eps: str,
    norm: str,
    batch: int,
    threads: int,
    seed: int,
) -> None:
    """See the module's text."""
    torch.set_num_threads(threads)
    threat = ThreatModel(norm=norm, eps=eps)
    test = load(data).test
    images = test.subset(stratified(test.y, number, seed)[1])
    model = load_model(source).eval().requires_grad_(requires_grad=False)
    task = {
        "model": read_manifest(locate(source)).weights.sha256,
        "data": images.fingerprint(),
        "threat": {"norm": threat.norm, "eps": threat.eps},
        "batch": batch,
        "seed": seed,
        "pyautoattack": version("pyautoattack"),
    }
    state_file = out.with_suffix(".state.json")
    state = evaluate(
        model,
        images,
        threat,
        reference(model, threat, seed),
        batch=batch,
        state_file=state_file,
        task=task,
    )
    report = {
        "benchmark": "AutoAttack standard, reference implementation",
        "source": short(source),
        "images": {"name": images.name, "number": number, "drawn": "stratified by class"},
        "task": task,
        "machine": machine("pyautoattack"),
        **figures(state, number),
    }
    write_json(out, report)
    state_file.unlink(missing_ok=True)
    click.echo(json.dumps({key: report[key] for key in ("clean", "robust", "warnings")}, indent=2))


if __name__ == "__main__":
    main()

"""From a finished network to a small one: ranked, cut, tuned under attack, judged, saved."""

import json
from copy import deepcopy
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor, nn

from advprune import data as sources
from advprune import pruning, training
from advprune.attacks import PGD
from advprune.choices import choose
from advprune.data import Splits
from advprune.data.batching import iterate
from advprune.data.splitting import stratified
from advprune.evaluation import write_json
from advprune.evaluation.sample import model_hash
from advprune.gates import gate, restore
from advprune.pruning import read_limit
from advprune.recipes import figures
from advprune.recipes.judging import judge
from advprune.recipes.run import reported
from advprune.recipes.schema import (
    DataSettings,
    EvaluationSettings,
    ModelSettings,
    Recipe,
    ThreatSettings,
)
from advprune.shipping import latency
from advprune.structure import recalibrate
from advprune.threat import ThreatModel
from advprune.training.parts import AttackSettings
from advprune.training.settings import Phase, Training

RANKED = 512
"""Training images that tell what each unit is worth."""

BATCH = 64
"""Images a batch of the ranking."""

_STEPS = 7

_CUT = "cut.json"
"""What was kept of the network, and of which one; written before the training."""

Kept = dict[str, list[int]]

TUNING = Phase(
    name="tune",
    objective="adversarial",
    epochs=3,
    learning_rate=1e-3,
    schedule="one_cycle",
    attack=AttackSettings(steps=_STEPS),
)
"""Short adversarial training: of what was cut, what is left must take over."""


def shrink(
    model: nn.Module,
    data: Splits | str,
    threat: ThreatModel,
    budget: str,
    *,
    out: str | Path,
    round_to: int | None = None,
    score: str = "worth",
    tuning: Phase = TUNING,
    suite: str = "quick",
    examples: int | None = None,
    seed: int = 0,
    resume: bool = False,
    console: Console | None = None,
) -> nn.Module:
    """Cuts a finished network to a budget, tunes it under attack, and judges both.

    Units are ranked by their score for each multiply-accumulate, by default how far the clean and
    the adversarial loss would move without them, on training images. After the cut the
    network is trained adversarially; the best epoch is chosen on validation images. Test images
    serve the last evaluation alone.

    Args:
        model: any network from images in [0, 1] to logits; it is left as it is.
        data: the splits, or a data set by name.
        threat: what is defended against.
        budget: `macs=0.2`, a share of the network's, or `latency=2ms` for one image, measured on
            this machine.
        out: folder of the run, as that of `advprune run`: metrics, model/, result.json,
            report.html.
        round_to: what widths are to be multiples of; by default 8 for a latency, where processors
            compute so many channels at a time, and 1, exact widths, for multiply-accumulates.
        score: what ranks units, one of `advprune.pruning.SCORES`.
        tuning: the phase of training after the cut.
        suite: of attacks.
        examples: test images; None is all.
        seed: of everything random.
        resume: whether to go on with the run in the folder, if there is one: from its cut, and from
            its latest checkpoint.
        console: where progress and the final table are shown.

    Returns:
        The small network, in eval mode.

    Raises:
        ValueError: the budget cannot be met or read, the model cannot be gated, or the folder
            holds a run.
    """
    out, console = Path(out), console or Console()
    limit, rank = read_limit(budget, round_to), choose("score", score, pruning.SCORES)
    splits = sources.load(data, seed=seed) if isinstance(data, str) else data
    recipe = _recipe(splits, threat, tuning, suite, examples, seed)
    model = deepcopy(model).cpu().eval()
    task = {
        "model": model_hash(model),
        "data": splits.train.fingerprint(),
        "limit": asdict(limit),
        "threat": asdict(threat),
        "seed": seed,
        "score": score,
        "suite": suite,
        "examples": examples,
    }
    kept = _kept_before(out, task, resume)
    small = _cut(model, splits, threat, limit, rank, seed, kept)
    write_json(out / _CUT, {"task": task, "kept": small.slimmed["kept"]})  # type: ignore[index]
    trained = training.train(
        small,
        splits,
        threat,
        recipe.training,
        out=out,
        slim=pruning.slim,
        resume=resume,
        console=console,
    )
    networks = {"dense": model, "after": trained.model.cpu().eval()}
    result = judge(recipe, out, splits, networks, networks, trained, {"dense": model})
    result["shrink"] = {
        "budget": budget,
        "round_to": limit.round_to,
        "score": score,
        "tuning": tuning.model_dump(mode="json"),
    }
    reported(out, result, console)
    return networks["after"]


def _kept_before(out: Path, task: dict[str, Any], resume: bool) -> Kept | None:
    """Returns the units that an earlier run in the folder kept, if there was one."""
    if not (out / _CUT).is_file():
        return None
    if not resume:
        raise ValueError(
            f"{out} holds a run already: continue it with resume, or choose another folder"
        )
    found = json.loads((out / _CUT).read_text(encoding="utf-8"))
    asked = json.loads(json.dumps(task))
    found["task"].setdefault("score", "worth")  # the only one when the key did not exist
    if other := [key for key, value in asked.items() if found["task"].get(key) != value]:
        raise ValueError(
            f"{out} holds a run with another {', '.join(other)}: choose another folder"
        )
    kept: Kept = found["kept"]
    return kept


def _cut(
    model: nn.Module,
    splits: Splits,
    threat: ThreatModel,
    limit: pruning.Limit,
    rank: pruning.Score,
    seed: int,
    kept: Kept | None,
) -> nn.Module:
    drawn = stratified(splits.train.y, min(RANKED, len(splits.train)), seed)[1]
    images = splits.train.subset(drawn)
    example = figures.example(images)
    gated = gate(model, example, family="fixed")
    if kept is None:
        score = rank(gated, iterate(images, BATCH), PGD(threat, steps=_STEPS))
        small = pruning.cut(gated, score, limit, example, partial(_milliseconds, example=example))
    else:
        restore(gated, kept)
        small = pruning.slim(gated, example)
    recalibrate(small, (x for x, _ in iterate(images, BATCH)))
    return small


def _milliseconds(network: nn.Module, example: Tensor) -> float:
    return latency({"network": network}, example)["network"].median_ms


def _recipe(
    splits: Splits, threat: ThreatModel, tuning: Phase, suite: str, examples: int | None, seed: int
) -> Recipe:
    """How the run is judged; its data and network are at hand, so that their names only tell."""
    return Recipe.model_construct(
        name="shrink",
        data=DataSettings.model_construct(name=splits.train.name),
        model=ModelSettings.model_construct(name="finished"),
        threat=ThreatSettings(norm=threat.norm, eps=threat.eps),
        training=Training(phases=(tuning,), seed=seed),
        evaluation=EvaluationSettings(suite=suite, examples=examples),
        seed=seed,
    )

"""A model against a suite of attacks."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from advprune.attacks import borrowed
from advprune.data import Data
from advprune.evaluation.attempt import Attempt, Target, attempt
from advprune.evaluation.checks import (
    BY_GRADIENTS,
    check_attacks,
    check_families,
    check_losses,
    check_model,
    check_radii,
    check_restarts,
)
from advprune.evaluation.environment import environment
from advprune.evaluation.families import families, right_after_all
from advprune.evaluation.ledger import Ledger
from advprune.evaluation.result import AttackFigure, ClassFigure, Finding, Result, interval
from advprune.evaluation.sample import gather, model_hash
from advprune.evaluation.smallest import Smallest, smallest
from advprune.evaluation.suites import find_suite, transfer
from advprune.evaluation.trial import Trial
from advprune.models import evaluating
from advprune.threat import ThreatModel

Sources = Sequence[nn.Module] | Mapping[str, nn.Module]


def evaluate(
    model: nn.Module,
    data: Data,
    threat: ThreatModel,
    suite: str = "quick",
    sources: Sources = (),
    *,
    seed: int = 0,
    batch_size: int = 128,
    subset: int | None = None,
    folder: str | Path | None = None,
) -> Result:
    """Attack a model on a whole data set and say what is left of its accuracy.

    The model is attacked in evaluation mode and float32, and is left as it was. Images and attacked
    images of the whole data set are held in memory.

    Args:
        model: Classifier of images in [0, 1] to logits.
        data: Images, an (images, labels) pair, a loader of such pairs, or a data set's name, whose
            test images are taken.
        threat: What the attacker may do.
        suite: "quick" (seconds), "standard" (AutoAttack's), "thorough" (standard and more of each),
            "rand" (for random models), "paper" (PGD-40 as published), "strong" (PGD-40 with 10
            restarts, cross-entropy and margin), "minimum" (the smallest perturbation of each image
            and, from it, the accuracy at every radius), "breadth" (other norms, few pixels,
            corruptions, shifts and rotations; "breadth:l2=0.5,l0=10" with radii of one's own) or
            "shipped" (quick, then attacks by queries).
        sources: Other networks whose attacked images are tried on the model as well, by name or
            in a sequence.
        seed: Seed of all noise and of the subset.
        batch_size: Images a batch. An example's noise does not depend on it.
        subset: Number of examples to draw, classes keeping their shares; None takes all.
        folder: Where finished batches are kept, attacked images and all (safetensors). The same
            call with the same folder, after a kill at any moment, goes on with the next batch and
            finds the same.

    Returns:
        The figures with all that they rest on.

    Raises:
        ValueError: If a setting is impossible, an image lies outside the threat's bounds, the
            model does not answer with logits, or the folder is of another evaluation.
    """
    started = time.perf_counter()
    attacks_of = find_suite(suite)
    sample = gather(data, batch_size, subset=subset, seed=seed)
    trials = attacks_of(threat, sample.x.shape[1:])
    networks = dict.fromkeys(trials, model)
    for name, source in _named(sources).items():
        trials[name], networks[name] = transfer(threat), source
    threat.check_images(sample.x)
    task = {
        "attacks": {name: trial.attack.describe() for name, trial in trials.items()},
        "networks": {name: model_hash(network) for name, network in networks.items()},
        "gradients": borrowed(model),
        "data": sample.hash,
        "seed": seed,
        "batch_size": batch_size,
    }
    ledger = None if folder is None else Ledger(folder, task)
    target = Target(model, sample, batch_size, seed, ledger)
    with evaluating(model):
        right = target.right(sample.x, target.rows())
        attempts, left = _run(target, trials, networks, right)
        attacks = [trial.attack for trial in trials.values()]
        warnings = list(check_model(model, *target.first_batch(), attacks))
        warnings += check_radii(model, *target.first_batch(), threat)
        warnings += check_restarts(target, threat, left[""])
    warnings += _findings(trials, attempts, right)
    own = f"{threat.norm} eps {threat.eps:.4g}, its own"
    found = tuple(families(own, trials, attempts, left))
    warnings += check_families(found)
    survivors, examples = right_after_all(left), len(sample)
    return Result(
        clean=_share(right),
        robust=_share(survivors),
        clean_interval=interval(int(right.sum()), examples),
        robust_interval=interval(int(survivors.sum()), examples),
        classes=tuple(_classes(sample.y, right, survivors)),
        attacks={name: _figure(trials[name], attempts[name], right) for name in trials},
        warnings=tuple(warnings),
        smallest=_smallest(threat, trials, attempts),
        families=found,
        gradients=borrowed(model),
        images=None if ledger is None else ledger.contents(trials),
        survivors=survivors,
        indices=sample.indices,
        suite=suite,
        threat=asdict(threat),
        seed=seed,
        batch_size=batch_size,
        examples=examples,
        data_examples=sample.whole,
        data_hash=sample.hash,
        model_hash=model_hash(model),
        environment=environment(),
        seconds=time.perf_counter() - started,
    )


def _run(
    target: Target,
    trials: Mapping[str, Trial],
    networks: Mapping[str, nn.Module],
    right: Tensor,
) -> tuple[dict[str, Attempt], dict[str, Tensor]]:
    """Each attack in turn, and which examples were right before and after all of its family."""
    attempts: dict[str, Attempt] = {}
    left = {trial.family: right.clone() for trial in trials.values()}
    for name, trial in trials.items():
        survivors = left[trial.family]
        rows = target.rows() if trial.alone else survivors.nonzero().squeeze(1)
        attempts[name] = attempt(target, name, trial.attack, networks[name], rows)
        survivors &= attempts[name].right_in(survivors)
    return attempts, left


def _findings(
    trials: Mapping[str, Trial], attempts: Mapping[str, Attempt], right: Tensor
) -> Iterator[Finding]:
    """What the attacks of each family say of one another."""
    for family in dict.fromkeys(trial.family for trial in trials.values()):
        own = {name: trial for name, trial in trials.items() if trial.family == family}
        if family and not any(trial.kind in BY_GRADIENTS for trial in own.values()):
            continue
        broken = {name: right & ~attempts[name].right_in(right) for name in own}
        resisted = [name for name in own if attempts[name].right.any()]
        climbs = {name: attempts[name].loss_per_step for name in resisted}
        found = [*check_attacks(own, broken, right), *check_losses(own, climbs)]
        in_it = f"In {family}: " if family else ""
        yield from (replace(finding, text=in_it + finding.text) for finding in found)


def _figure(trial: Trial, made: Attempt, right: Tensor) -> AttackFigure:
    examples = len(right)
    counted = None if trial.kind == "transfer" else (len(made.rows) - made.fooled) / examples
    return AttackFigure(
        accuracy=made.right.sum().item() / examples,
        alone=trial.alone,
        accuracy_by_attack=counted,
        examples=len(made.rows),
        budget=trial.attack.describe(),
        forward_passes=made.forward_passes,
        backward_passes=made.backward_passes,
        seconds=made.seconds,
        distances=made.distances,
        notes=made.notes,
        survive_png=made.survive_png(right),
    )


def _smallest(
    threat: ThreatModel, trials: Mapping[str, Trial], attempts: Mapping[str, Attempt]
) -> Smallest | None:
    """What the attacks in the threat's norm found that met every example."""
    found = [
        attempts[name].distances
        for name, trial in trials.items()
        if trial.alone and trial.attack.threat.norm == threat.norm
    ]
    sought = [distances for distances in found if distances is not None]
    return smallest(threat.norm, threat.eps, sought) if sought else None


def _classes(y: Tensor, right: Tensor, survivors: Tensor) -> Iterator[ClassFigure]:
    for label, examples in enumerate(torch.bincount(y).tolist()):
        if examples:
            own = y == label
            yield ClassFigure(label, examples, _share(right[own]), _share(survivors[own]))


def _named(sources: Sources) -> dict[str, nn.Module]:
    if isinstance(sources, Mapping):
        return {f"transfer:{name}": source for name, source in sources.items()}
    return {f"transfer:{number}": source for number, source in enumerate(sources)}


def _share(chosen: Tensor) -> float:
    return chosen.sum().item() / len(chosen)

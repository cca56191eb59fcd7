"""Towards which other classes an attacker can turn a model's answers."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace

import torch
from torch import Tensor, nn

from advprune.attacks import APGD, Attack, borrowed
from advprune.attacks.rounds import rivals
from advprune.choices import check_count
from advprune.data import Data
from advprune.evaluation.aimed import Aimed, Targeted, Turn, share
from advprune.evaluation.attempt import Attempt, Target, attempt, device_of
from advprune.evaluation.checks import check_attacks, check_losses, check_model
from advprune.evaluation.environment import environment
from advprune.evaluation.result import Finding
from advprune.evaluation.sample import gather, model_hash
from advprune.evaluation.trial import Trial
from advprune.models import evaluating
from advprune.threat import ThreatModel


def targeted(
    model: nn.Module,
    data: Data,
    threat: ThreatModel,
    *,
    targets: int = 9,
    steps: int = 100,
    restarts: int = 1,
    seed: int = 0,
    batch_size: int = 128,
    subset: int | None = None,
) -> Targeted:
    """Attack each image that a model gets right towards each of the other classes.

    Towards each target goes Auto-PGD with the cross-entropy at the target and, where that does not
    reach it, with the target's margin over all other logits. The model is attacked in evaluation
    mode and float32, and is left as it was.

    Source: Carlini & Wagner, "Towards evaluating the robustness of neural networks" (2017): best,
    average and worst case over targets; the attack is that of `APGD`.

    Args:
        model: Classifier of images in [0, 1] to logits.
        data: As in `evaluate`.
        threat: What the attacker may do.
        targets: Targets of each image: the likeliest wrong classes, all where there are fewer.
        steps: Steps of each attack towards each target.
        restarts: Random starts of each attack towards each target.
        seed: Seed of all noise and of the subset.
        batch_size: Images a batch. An example's noise does not depend on it.
        subset: Number of examples to draw, classes keeping their shares; None takes all.

    Returns:
        The figures with all that they rest on.

    Raises:
        ValueError: If a setting or image is impossible, or the model does not answer with logits of
            two classes or more.
    """
    started = time.perf_counter()
    check_count("targets", targets)
    trials = _trials(threat, steps, restarts)
    sample = gather(data, batch_size, subset=subset, seed=seed)
    threat.check_images(sample.x)
    target = Target(model, sample, batch_size, seed)
    with evaluating(model):
        logits = target.logits(sample.x)
        _check_classes(logits.shape[1], sample.y)
        right, wanted = logits.argmax(1) == sample.y, rivals(logits, sample.y, targets)
        attempts = _run(target, trials, wanted, right)
        warnings = _misleading(target, right)
    hits = {name: _hits(made, right) for name, made in attempts.items()}
    reached = torch.stack(list(hits.values())).any(0)
    return Targeted(
        success=share(reached.flatten()),
        best_target=share(reached.any(1)),
        worst_target=share(reached.all(1)),
        matrix=tuple(_turns(logits.shape[1], sample.y[right], wanted[right], reached)),
        attacks={name: _aimed(trials[name].attack, made) for name, made in attempts.items()},
        warnings=(*warnings, *_findings(trials, attempts, hits)),
        targets=wanted.shape[1],
        classes=logits.shape[1],
        wrong=int((~right).sum()),
        examples=len(sample),
        data_examples=sample.whole,
        gradients=borrowed(model),
        threat=asdict(threat),
        seed=seed,
        batch_size=batch_size,
        data_hash=sample.hash,
        model_hash=model_hash(model),
        environment=environment(),
        seconds=time.perf_counter() - started,
    )


def _trials(threat: ThreatModel, steps: int, restarts: int) -> dict[str, Trial]:
    losses = {"apgd_ce": "cross_entropy", "apgd_margin": "margin"}
    return {
        name: Trial(APGD(threat, steps=steps, restarts=restarts, loss=loss), alone=False)
        for name, loss in losses.items()
    }


def _check_classes(classes: int, y: Tensor) -> None:
    if classes < 2:
        raise ValueError(f"the model answers {classes} class; to be turned takes 2 or more")
    if y.max() >= classes:
        raise ValueError(
            f"a label is {y.max()}; the model answers {classes} classes: allowed are 0 to "
            f"{classes - 1}"
        )


def _misleading(target: Target, right: Tensor) -> list[Finding]:
    """What misleads attacks on the first of the images that are attacked."""
    rows, device = right.nonzero().squeeze(1)[: target.batch_size], device_of(target.model)
    x, y = target.sample.x[rows].to(device), target.sample.y[rows].to(device)
    return list(check_model(target.model, x, y)) if len(rows) else []


def _run(
    target: Target, trials: Mapping[str, Trial], wanted: Tensor, right: Tensor
) -> dict[str, list[Attempt]]:
    """Each attack towards one target after the other, on the images not turned into it yet."""
    attempts: dict[str, list[Attempt]] = {name: [] for name in trials}
    for number, classes in enumerate(wanted.unbind(1), start=1):
        aimed, left = replace(target, wanted=classes), right
        for name, trial in trials.items():
            title = f"{name}, target {number} of {wanted.shape[1]}"
            rows = left.nonzero().squeeze(1)
            made = attempt(aimed, title, trial.attack, target.model, rows)
            left = made.right_in(left)
            attempts[name].append(made)
    return attempts


def _hits(made: Sequence[Attempt], right: Tensor) -> Tensor:
    """Which targets an attack reached, (images right before, targets) bool."""
    return torch.stack([~one.right_in(right)[right] for one in made], dim=1)


def _turns(classes: int, y: Tensor, wanted: Tensor, reached: Tensor) -> Iterator[Turn]:
    pairs = y[:, None] * classes + wanted
    tried, turned = (
        torch.bincount(some.flatten(), minlength=classes**2) for some in (pairs, pairs[reached])
    )
    for pair in tried.nonzero().flatten().tolist():
        images, hits = int(tried[pair]), int(turned[pair])
        yield Turn(pair // classes, pair % classes, images, hits, hits / images)


def _aimed(attack: Attack, made: Sequence[Attempt]) -> Aimed:
    return Aimed(
        pairs=sum(len(one.rows) for one in made),
        reached=sum(int((~one.right).sum()) for one in made),
        reached_by_attack=sum(one.fooled for one in made),
        reached_as_png=sum(int((~one.right_as_png).sum()) for one in made),
        budget=attack.describe(),
        forward_passes=sum(one.forward_passes for one in made),
        backward_passes=sum(one.backward_passes for one in made),
        seconds=sum(one.seconds for one in made),
        notes=tuple(dict.fromkeys(note for one in made for note in one.notes)),
    )


def _findings(
    trials: Mapping[str, Trial],
    attempts: Mapping[str, Sequence[Attempt]],
    hits: Mapping[str, Tensor],
) -> Iterator[Finding]:
    """What the attacks say of one another, each pair of image and target being an example."""
    pairs = {name: some.flatten() for name, some in hits.items()}
    every = torch.ones_like(next(iter(pairs.values())))
    resisted = [name for name, made in attempts.items() if any(one.right.any() for one in made)]
    climbs = {name: _climb(attempts[name]) for name in resisted}
    for finding in (*check_attacks(trials, pairs, every), *check_losses(trials, climbs)):
        yield replace(finding, text=f"Of pairs of image and target: {finding.text}")


def _climb(made: Sequence[Attempt]) -> Tensor:
    """Mean loss at each step, over the pairs of all targets."""
    met = sum(len(one.rows) for one in made)
    climbs = [one.loss_per_step * len(one.rows) / met for one in made if len(one.rows)]
    return torch.stack(climbs).sum(0)

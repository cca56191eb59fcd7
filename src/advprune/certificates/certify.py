"""A model's certified accuracy on a data set."""

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from advprune.bounds import BOUNDS, Region, is_certified, margin_bounds, network
from advprune.certificates.complete import check_complete
from advprune.certificates.result import Certificates, MethodFigure, Upper
from advprune.certificates.smoothing import certify_smoothed
from advprune.certificates.verdict import Verdict
from advprune.choices import check_arguments, choose
from advprune.data import Data
from advprune.evaluation import environment, evaluate, interval, model_hash
from advprune.evaluation.attempt import Target
from advprune.evaluation.sample import Sample, gather
from advprune.threat import NORMS, ThreatModel

Method = Callable[..., list[Verdict]]
"""(model, sample, threat, seed, batch_size, options of its own by name) → verdicts."""


def certify(
    model: nn.Module,
    data: Data,
    threat: ThreatModel,
    method: str | Sequence[str] = "crown_ibp",
    *,
    suite: str | None = "quick",
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    batch_size: int = 100,
    subset: int | None = None,
) -> Certificates:
    """Says which share of a data set no image of the threat can turn, beside what attacks leave.

    Bounds are computed in double precision on the model in evaluation mode, so a certificate holds
    up to rounding. It is done on the CPU, on a copy.

    Args:
        model: plain or gated, of operators that can be bounded (smoothing takes any).
        data: Images, an (images, labels) pair, a loader of such pairs, or a data set's name, whose
            test images are taken.
        threat: what is certified against.
        method: one or several of `METHODS`: `"ibp"`, `"crown_ibp"`, `"crown"`, `"polytope"`
            (bounds, each slower and tighter than the one before, the last but for itself),
            `"complete"` (branch and bound, L∞) and `"smoothing"` (of the smoothed classifier, not
            of the model itself; needs its `sigma`).
        suite: attacks that give the upper bound; None attacks nothing.
        options: by method, such as `{"smoothing": {"sigma": 0.25}, "complete": {"seconds": 10}}`.
        seed: of the subset, the attacks and all samples.
        batch_size: images a batch.
        subset: number of examples to draw, classes keeping their shares; None takes all.

    Raises:
        ValueError: an impossible setting, or an operator that cannot be bounded, by name and place.
    """
    started = time.perf_counter()
    choose("norm to certify", threat.norm, dict.fromkeys(NORMS))
    names = [method] if isinstance(method, str) else list(method)
    bound = {name: _bound(name, (options or {}).get(name, {})) for name in names}
    for name in options or {}:
        choose("method with options", name, bound)
    sample = gather(data, batch_size, subset=subset, seed=seed)
    threat.check_images(sample.x)
    figures = {}
    judged = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    target = Target(judged, sample, batch_size, seed)
    right = int(target.right(sample.x, target.rows()).sum())
    for name, run in bound.items():
        begun = time.perf_counter()
        verdicts = run(judged, sample, threat, seed, batch_size)
        seconds = time.perf_counter() - begun
        figures[name] = MethodFigure(tuple(verdicts), dict(run.keywords), seconds)
    return Certificates(
        clean=right / len(sample),
        clean_interval=interval(right, len(sample)),
        attacked=None if suite is None else _attacked(model, sample, threat, suite, seed),
        methods=figures,
        threat=asdict(threat),
        seed=seed,
        indices=None if len(sample) == sample.whole else sample.indices.tolist(),
        examples=len(sample),
        data_examples=sample.whole,
        data_hash=sample.hash,
        model_hash=model_hash(model),
        environment=environment(),
        seconds=time.perf_counter() - started,
    )


def _bound(name: str, options: Mapping[str, Any]) -> "partial[list[Verdict]]":
    """A method with its options, all of them checked by name."""
    function = choose("method", name, METHODS)
    given = {"model": None, "sample": None, "threat": None, "seed": 0, "batch_size": 1}
    arguments = check_arguments(f"method {name!r}", function, {**given, **options})
    arguments.apply_defaults()
    return partial(
        function, **{key: value for key, value in arguments.arguments.items() if key not in given}
    )


def _attacked(
    model: nn.Module, sample: Sample, threat: ThreatModel, suite: str, seed: int
) -> Upper:
    found = evaluate(model, (sample.x, sample.y), threat, suite, seed=seed)
    return Upper(suite, found.robust, found.robust_interval)


def _by_bound(
    bound: str, model: nn.Module, sample: Sample, threat: ThreatModel, seed: int, batch_size: int
) -> list[Verdict]:
    del seed
    size = 1 if BOUNDS[bound].refined else batch_size  # else rows would be of the whole batch
    verdicts: list[Verdict] = []
    with torch.no_grad():
        bounded = network(model, sample.x[:1], dtype=torch.float64)
    for x, y in zip(torch.split(sample.x, size), torch.split(sample.y, size), strict=True):
        with torch.no_grad():
            logits, region = model(x), Region(x.double(), threat)
            margins = margin_bounds(bounded, region, y, logits.shape[1], bound)
        right = logits.argmax(1) == y
        verdicts += map(_verdict, right.tolist(), is_certified(margins, y).tolist())
    return verdicts


def _by_branching(
    model: nn.Module,
    sample: Sample,
    threat: ThreatModel,
    seed: int,
    batch_size: int,
    seconds: float = 30.0,
) -> list[Verdict]:
    del batch_size  # images are decided one by one
    if not seconds > 0:
        raise ValueError(f"seconds={seconds!r}; allowed are numbers above 0")
    pairs = zip(torch.split(sample.x, 1), torch.split(sample.y, 1), strict=True)
    return [
        check_complete(model, x, y, threat, seconds=seconds, seed=seed).verdict for x, y in pairs
    ]


def _by_smoothing(
    model: nn.Module,
    sample: Sample,
    threat: ThreatModel,
    seed: int,
    batch_size: int,
    *,
    sigma: float,
    samples: int = 10_000,
    alpha: float = 0.001,
) -> list[Verdict]:
    generator = torch.Generator().manual_seed(seed)
    found = certify_smoothed(
        model,
        sample.x,
        sigma,
        samples=samples,
        alpha=alpha,
        batch_size=max(batch_size, 1000),
        generator=generator,
    )
    wanted = _l2_radius(threat, sample.x[0])
    holds = (found.answers == sample.y) & (found.radii > wanted)
    wrong = (found.answers != sample.y) & (found.radii > 0)
    return [
        Verdict.WRONG if is_wrong else _verdict(True, sure)
        for is_wrong, sure in zip(wrong.tolist(), holds.tolist(), strict=True)
    ]


def _l2_radius(threat: ThreatModel, image: Tensor) -> float:
    """Radius of the L2 ball that holds the threat's: eps, and eps √pixels for L∞."""
    return threat.eps * (math.sqrt(image.numel()) if threat.norm == "linf" else 1.0)


def _verdict(right: bool, certified: bool) -> Verdict:
    if not right:
        return Verdict.WRONG
    return Verdict.CERTIFIED if certified else Verdict.UNDECIDED


METHODS: dict[str, Method] = {
    **{bound: partial(_by_bound, bound) for bound in BOUNDS},
    "complete": _by_branching,
    "smoothing": _by_smoothing,
}

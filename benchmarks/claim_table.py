"""The table of `claim.py`: means and deviations over seeds, and paired tests."""

from collections.abc import Mapping
from statistics import mean, stdev
from typing import Any

import numpy as np
from scipy.stats import binomtest, t, ttest_rel  # type: ignore[import-untyped]

Seeds = list[dict[str, Any]]

FIRST, REVERSE, RANDOM = "vulnerability", "reverse_vulnerability", "random"
TITLES = {
    "vulnerability": "V: the most vulnerable go",
    "relative_vulnerability": "relative V",
    "margin_vulnerability": "V weighted by the margin's gradient",
    "reverse_vulnerability": "reverse V: the least vulnerable go",
    "magnitude": "magnitude",
    "clean_worth": "Taylor, clean loss",
    "adversarial_worth": "Taylor, adversarial loss",
    "worth": "Taylor, both losses",
    "random": "at random",
}


def as_markdown(report: Mapping[str, Any]) -> str:
    """The table of all scores and what the paired tests say."""
    seeds = list(report["seeds"].values())
    head = "as cut: robust %|tuned: clean %|robust %|robust - V's|relative V|agreement with gates"
    lines = [f"| what stays, by | {' | '.join(head.split('|'))} |", "|---|" + 6 * "---:|"]
    dense = [_spread([seed["dense"][key] for seed in seeds], 100, 1) for key in ("clean", "robust")]
    relative = _spread([seed["dense"]["relative"] for seed in seeds], 1, 3)
    lines.append(f"| *not cut* | | {' | '.join([*dense, '', relative, ''])} |")
    lines += [_line(seeds, score) for score in TITLES]
    return "\n".join([*lines, "", *_tests(seeds)])


def _line(seeds: Seeds, score: str) -> str:
    robust, first = _robust(seeds, score, "tuned"), _robust(seeds, FIRST, "tuned")
    tuned = [seed["scores"][score]["tuned"] for seed in seeds]
    agreement = [mean(seed["gates"]["agreement"][score].values()) for seed in seeds]
    beside = [one - other for one, other in zip(robust, first, strict=True)]
    cells = [
        TITLES[score],
        _spread(_robust(seeds, score, "untuned"), 100, 1),
        _spread([found["clean"] for found in tuned], 100, 1),
        _spread(robust, 100, 1),
        "" if score == FIRST else _spread(beside, 100, 1, sign="+"),
        _spread([found["relative"] for found in tuned], 1, 3),
        _spread(agreement, 1, 2, sign="+"),
    ]
    return f"| {' | '.join(cells)} |"


def _tests(seeds: Seeds) -> list[str]:
    """V against its reverse and against random: over seeds, and over images."""
    cases = [(other, state) for other in (REVERSE, RANDOM) for state in ("untuned", "tuned")]
    return [f"- {_test(seeds, other, state)}" for other, state in cases]


def _test(seeds: Seeds, other: str, state: str) -> str:
    one, two = _robust(seeds, FIRST, state), _robust(seeds, other, state)
    low, high = _interval([a - b for a, b in zip(one, two, strict=True)])
    only = [_only(seed["scores"], other, state) for seed in seeds]
    first, second = sum(a for a, _ in only), sum(b for _, b in only)
    images = binomtest(first, first + second).pvalue if first + second else 1.0
    return (
        f"V against {TITLES[other]}, {state}: {100 * (mean(one) - mean(two)):+.1f} points of"
        f" robust accuracy, 95 % interval over {len(seeds)} seeds {100 * low:+.1f} to"
        f" {100 * high:+.1f} (paired t-test p = {ttest_rel(one, two).pvalue:.2g}); images that"
        f" only one gets right: {first} and {second} (McNemar p = {images:.2g})."
    )


def _robust(seeds: Seeds, score: str, state: str) -> list[float]:
    return [seed["scores"][score][state]["robust"] for seed in seeds]


def _only(scores: Mapping[str, Any], other: str, state: str) -> tuple[int, int]:
    """Images that only the network cut by V gets right under attack, and only the other one."""
    one, two = (
        np.unpackbits(np.frombuffer(bytes.fromhex(scores[name][state]["survivors"]), np.uint8))
        for name in (FIRST, other)
    )
    return int((one & ~two & 1).sum()), int((two & ~one & 1).sum())


def _interval(differences: list[float]) -> tuple[float, float]:
    half = t.ppf(0.975, len(differences) - 1) * stdev(differences) / len(differences) ** 0.5
    return mean(differences) - half, mean(differences) + half


def _spread(values: list[float], scale: float, digits: int, sign: str = "") -> str:
    spread = stdev(values) if len(values) > 1 else 0.0
    return f"{scale * mean(values):{sign}.{digits}f} ± {scale * spread:.{digits}f}"

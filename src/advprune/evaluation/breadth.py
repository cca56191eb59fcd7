"""What a network withstands besides the threat that it was made for."""

import math
from collections.abc import Mapping

from advprune.attacks import (
    APGD,
    Attack,
    Corruption,
    FewPixels,
    Pointwise,
    SparseRS,
    Spatial,
    Square,
    TargetedAPGD,
)
from advprune.choices import choose
from advprune.corruptions import CORRUPTIONS, SEVERITIES
from advprune.evaluation.trial import Kind, Shape, Trial
from advprune.threat import NORMS, ThreatModel, read_length

GREY = {"linf": 0.3, "l2": 2.0, "l1": 10.0, "l0": 10.0}
"""Radii in use on MNIST, 28 by 28 pixels of one channel."""
COLOUR = {"linf": 8 / 255, "l2": 0.5, "l1": 12.0, "l0": 24.0}
"""Radii in use on CIFAR-10, 32 by 32 pixels of three channels."""

Radii = Mapping[str, float]


def breadth(
    threat: ThreatModel, shape: Shape = (), /, radii: Radii | None = None
) -> dict[str, Trial]:
    """The threat itself, the other norms, few pixels, corruptions, shifts and rotations.

    Each family starts anew from the images that the model gets right; in it, Auto-PGD, targeted
    Auto-PGD and Square (by queries Sparse-RS and, by answers alone, Pointwise, in l0) meet what the
    former left.

    Args:
        threat: What the model was made for; pixels in [0, 1].
        shape: Of an image, which the radii depend on; none is taken for CIFAR-10's.
        radii: Of the other norms; by default those of `usual_radii`.

    Raises:
        ValueError: When a radius is impossible, or that of the threat's own norm.
    """
    if threat.bounds != (0.0, 1.0):
        raise ValueError(f"bounds={threat.bounds}; corruptions are known for pixels in (0, 1)")
    if radii and threat.norm in radii:
        raise ValueError(f"{threat.norm} is the threat's own norm: its radius is the threat's eps")
    sizes = {**usual_radii(shape or (3, 32, 32)), **(radii or {})}
    others = (ThreatModel(norm, sizes[norm]) for norm in NORMS if norm != threat.norm)
    trials = _searched(threat, "")
    for other in others:
        trials |= _searched(other, f"{other.norm} eps {other.eps:.4g}")
    return trials | _few(FewPixels(max(round(sizes["l0"]), 1))) | _natural()


def usual_radii(shape: Shape) -> dict[str, float]:
    """A radius for each norm: MNIST's for one channel, CIFAR-10's for more, by the image's side.

    Those of l2, l1 and l0 grow in proportion to the square root of the number of pixels, which
    brings CIFAR-10's close to those in use on ImageNet (at 224 pixels: l2 3.5, l1 84, l0 168;
    in use are 3, 60 and 150).
    """
    channels, height, width = shape
    radii, side = (GREY, 28) if channels == 1 else (COLOUR, 32)
    scale = math.sqrt(height * width) / side
    return {norm: size if norm == "linf" else size * scale for norm, size in radii.items()}


def read_radii(text: str) -> dict[str, float]:
    """Radii from text such as "l2=0.5,l0=10".

    Raises:
        ValueError: When it cannot be read.
    """
    found = {}
    for part in text.split(","):
        norm, _, size = (piece.strip() for piece in part.partition("="))
        choose("norm", norm, GREY)
        found[norm] = read_length(norm, size)
        if found[norm] == 0 or (norm == "l0" and found[norm] % 1):
            allowed = "whole numbers from 1" if norm == "l0" else "numbers above 0"
            raise ValueError(f"{norm}={size}; allowed are {allowed}")
    return found


def _searched(threat: ThreatModel, family: str) -> dict[str, Trial]:
    attacks: dict[str, tuple[Attack, Kind]] = {
        "apgd_ce": (APGD(threat, steps=100), "iterated"),
        "apgd_t": (TargetedAPGD(threat, steps=100, targets=3), "iterated"),
        "square": (Square(threat, queries=1000), "black-box"),
    }
    return {
        f"{threat.norm} {name}": Trial(attack, alone=False, kind=kind, family=family)
        for name, (attack, kind) in attacks.items()
    }


def _few(threat: FewPixels) -> dict[str, Trial]:
    family = f"l0, {threat.eps:.0f} pixels"
    attacks = {
        "l0 sparse_rs": SparseRS(threat, queries=1000),
        "l0 pointwise": Pointwise(threat, queries=1000),
    }
    return {
        name: Trial(attack, alone=False, kind="black-box", family=family)
        for name, attack in attacks.items()
    }


def _natural() -> dict[str, Trial]:
    corrupted = {
        f"{kind} {severity}": Trial(
            Corruption(kind, severity=severity), alone=True, kind="natural", family="corruptions"
        )
        for kind in CORRUPTIONS
        for severity in SEVERITIES
    }
    moved = Trial(Spatial(), alone=True, kind="natural", family="shifts and rotations")
    return corrupted | {"worst of a grid": moved}

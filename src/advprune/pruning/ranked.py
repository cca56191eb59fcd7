"""Which units of a finished network to cut: the least worth for what they cost, under attack."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from advprune.choices import check_count, choose
from advprune.gates import ROUND_TO, GatedModel, largest_share, within
from advprune.pruning.slim import slim


@dataclass(frozen=True)
class Limit:
    """What the network may cost.

    Attributes:
        macs: share of its multiply-accumulates, in (0, 1].
        latency: milliseconds of one image; one of the two is given.
        round_to: what widths are to be multiples of.
    """

    macs: float | None = None
    latency: float | None = None
    round_to: int = 1


def read_limit(text: str, round_to: int | None = None) -> Limit:
    """Reads `macs=0.2`, a share, or `latency=2ms`, for one image.

    Args:
        text: the limit.
        round_to: what widths are to be multiples of; `ROUND_TO` says it where it is not given.

    Raises:
        ValueError: it is neither, or `round_to` is not positive.
    """
    if round_to is not None:
        check_count("round_to", round_to)
    kind, _, value = text.replace(" ", "").partition("=")
    try:
        number = float(value.removesuffix("ms") if kind == "latency" else value)
    except ValueError:
        number = 0.0
    if kind == "macs" and 0 < number <= 1:
        return Limit(macs=number, round_to=round_to or ROUND_TO[kind])
    if kind == "latency" and 0 < number < float("inf"):
        return Limit(latency=number, round_to=round_to or ROUND_TO[kind])
    raise ValueError(f"budget {text!r}: allowed are macs=SHARE in (0, 1], or latency=NUMBERms")


def close(gated: GatedModel, score: Tensor, macs: float, round_to: int = 1) -> None:
    """Closes, in place, the units that are worth least for each of their multiply-accumulates.

    Args:
        gated: the network with its gates; `slim` then cuts it.
        score: (units,), one of `SCORES`.
        macs: multiply-accumulates that one example may cost.
        round_to: what widths are to be multiples of.

    Raises:
        ValueError: one unit a group is already more.
    """
    structure = gated.structure
    keep = torch.ones(structure.units, dtype=torch.bool)
    per_mac = score / structure.unit_macs().clamp_min(1)
    _keep_only(gated, structure.split(within(structure, keep, per_mac, macs, round_to)))


def close_to_widths(gated: GatedModel, score: Tensor, widths: Mapping[str, int]) -> None:
    """Closes, in place, all but the units of each group that are worth most.

    Args:
        gated: the network with its gates; `slim` then cuts it.
        score: (units,), one of `SCORES`.
        widths: units that stay, by group; a group that is not named stays whole.

    Raises:
        ValueError: a group that is not there, or a width that it cannot have.
    """
    groups = gated.structure.groups
    kept = {}
    for name, width in widths.items():
        units = choose("group of units", name, groups).units
        if not 1 <= width <= units:
            raise ValueError(f"widths[{name!r}]={width!r}; allowed are 1 to {units}")
        best = score[groups[name].span].argsort(descending=True, stable=True)[:width]
        kept[name] = torch.zeros(units, dtype=torch.bool).index_fill(0, best, value=True)
    _keep_only(gated, kept)


def _keep_only(gated: GatedModel, kept: Mapping[str, Tensor]) -> None:
    for name, units in kept.items():
        gated.gates[name].close(~units)
        gated.gates[name].revive(units)


def cut(
    gated: GatedModel,
    score: Tensor,
    limit: Limit,
    example_input: Tensor,
    milliseconds: Callable[[nn.Module], float],
) -> nn.Module:
    """Returns the largest plain network within a limit; latency is measured, by halving.

    Args:
        gated: the whole network with its gates; they are closed in place.
        score: (units,), one of `SCORES`.
        limit: what the network may cost.
        example_input: real images (batch, channels, height, width).
        milliseconds: measures a network.

    Raises:
        ValueError: no network is within the limit.
    """
    whole = gated.structure.macs()
    if limit.macs is not None:
        close(gated, score, limit.macs * whole, limit.round_to)
        return slim(gated, example_input)
    return _fastest(gated, score, limit, example_input, milliseconds)


def _fastest(
    gated: GatedModel,
    score: Tensor,
    limit: Limit,
    example_input: Tensor,
    milliseconds: Callable[[nn.Module], float],
) -> nn.Module:
    allowed = limit.latency
    assert allowed is not None
    found: list[nn.Module] = []
    measured = float("inf")

    def fits(share: float) -> bool:
        nonlocal measured
        try:
            close(gated, score, share * gated.structure.macs(), limit.round_to)
        except ValueError:  # less than one unit a group
            return False
        network = slim(gated, example_input)
        measured = milliseconds(network)
        if measured <= allowed:
            found[:] = [network]
        return measured <= allowed

    if largest_share(fits) is None:
        raise ValueError(
            f"a budget of {allowed:g} ms: no network was so fast; the last took {measured:.3f} ms"
        )
    return found[0]

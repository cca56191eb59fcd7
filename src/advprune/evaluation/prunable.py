"""What of a network could be pruned, what could not, and why."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich import box
from rich.console import Group
from rich.table import Table
from torch import Tensor, nn

from advprune.evaluation.cost import Cost, cost
from advprune.gates import GatedModel, gate
from advprune.structure import Layer, UnsupportedModelError, least


@dataclass(frozen=True)
class LayerCheck:
    """One layer of a network.

    Attributes:
        name: Its qualified name.
        kind: Its class.
        outputs: How many channels or features it puts out.
        group: Group of units that its outputs belong to; None where they all stay.
        blocked: Why its outputs stay; empty where they can go.
        parameters: Learnable numbers.
        macs: Multiply-accumulates for one example.
        parameters_to_go: Those of its parameters that go when every group keeps one unit; its
            inputs go too, where other layers' outputs do.
        macs_to_go: Likewise.
    """

    name: str
    kind: str
    outputs: int
    group: str | None
    blocked: str
    parameters: int
    macs: int
    parameters_to_go: int
    macs_to_go: int


@dataclass(frozen=True)
class Check:
    """What of a network could be pruned.

    Attributes:
        layers: Convolutions and linear layers in execution order; none where it is refused.
        groups: Number of units by group: what one gate decides on.
        parameters: Of the whole network.
        macs: Of all convolutions and linear layers, for one example.
        parameters_to_go: Those that go when every group keeps one unit.
        macs_to_go: Likewise.
        refused: Why nothing can be pruned; None where something can.
    """

    layers: tuple[LayerCheck, ...]
    groups: Mapping[str, int]
    parameters: int
    macs: int
    parameters_to_go: int
    macs_to_go: int
    refused: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON holds it."""
        return asdict(self)

    def __rich__(self) -> Group:
        if self.refused is not None:
            facts = f"{self.parameters:,} parameters, {self.macs:,} multiply-accumulates"
            return Group(facts, f"Nothing can be pruned: {self.refused}")
        kept: dict[str, list[str]] = {}
        for layer in self.layers:
            if layer.blocked:
                kept.setdefault(layer.blocked, []).append(layer.name)
        notes = (f"{', '.join(names)} stays: {why}" for why, names in kept.items())
        return Group(self._table(), *notes)

    def _table(self) -> Table:
        whole = (self.parameters, self.macs)
        table = Table(title="What can be pruned", show_footer=True, box=box.SIMPLE)
        table.add_column("layer", "in all", overflow="fold")
        table.add_column("group", f"{len(self.groups)} groups", justify="right")
        units = f"{sum(self.groups.values()):,}"
        totals = _shares((self.parameters_to_go, self.macs_to_go), whole, whole)
        heads = ("outputs", "param. %", "to go %", "MACs %", "to go %")
        for head, total in zip(heads, (units, *totals), strict=True):
            table.add_column(head, total, justify="right")
        numbers = {name: str(number) for number, name in enumerate(self.groups, 1)}
        for layer in self.layers:
            own, to_go = (layer.parameters, layer.macs), (layer.parameters_to_go, layer.macs_to_go)
            group = "stays" if layer.group is None else numbers[layer.group]
            table.add_row(layer.name, group, f"{layer.outputs:,}", *_shares(to_go, own, whole))
        return table


def check(model: nn.Module, example_input: Tensor) -> Check:
    """Say which layers of a network can be pruned, which cannot, and why.

    The network is gated as `gate` does it, with all its checks, and the shares are those that go
    when each group of units keeps a single one.

    Args:
        model: Any network; it is left as it is.
        example_input: (batch, channels, height, width), any batch size.

    Returns:
        Layers, groups and totals; a network that `gate` refuses comes with its words.

    Raises:
        ValueError: The network is not one from a batch of such images to a tensor of logits.
    """
    try:
        gated = gate(model, example_input, "fixed")
    except UnsupportedModelError as refusal:
        size = cost(model, example_input)
        return Check((), {}, size.parameters, size.macs, 0, 0, str(refusal))
    return examine(gated, cost(model, example_input))


def examine(gated: GatedModel, size: Cost) -> Check:
    """Say it of a network that has gates already.

    Args:
        gated: The network; its gates are left as they are.
        size: What the network without gates costs.
    """
    keep = least(gated.structure)
    kept = _kept_parameters(gated, keep)
    layers = tuple(
        _checked(gated, name, layer, kept, keep) for name, layer in gated.structure.layers.items()
    )
    return Check(
        layers=layers,
        groups={name: group.units for name, group in gated.structure.groups.items()},
        parameters=size.parameters,
        macs=size.macs,
        parameters_to_go=size.parameters - sum(kept.values()),
        macs_to_go=sum(layer.macs_to_go for layer in layers),
    )


def _checked(
    gated: GatedModel, name: str, layer: Layer, kept: Mapping[str, int], keep: Tensor
) -> LayerCheck:
    modules = dict(gated.model.named_modules())
    owner = name if name in modules else name.rpartition(".")[0]  # a weight read by a function
    parameters = modules[owner].named_parameters(owner, recurse=False)
    own = {key: value.numel() for key, value in parameters}
    group = _group(gated, layer)
    macs = _macs(layer, torch.ones_like(keep))
    return LayerCheck(
        name=name,
        kind=type(modules[owner]).__name__,
        outputs=len(layer.outputs),
        group=group,
        blocked="" if group else gated.structure.blocked[name],
        parameters=sum(own.values()),
        macs=macs,
        parameters_to_go=sum(own.values()) - sum(kept.get(key, 0) for key in own),
        macs_to_go=macs - _macs(layer, keep),
    )


def _group(gated: GatedModel, layer: Layer) -> str | None:
    first = int(layer.outputs.min())
    spans = {name: group.span for name, group in gated.structure.groups.items()}
    return next((name for name, span in spans.items() if span.start <= first < span.stop), None)


def _macs(layer: Layer, keep: Tensor) -> int:
    ones = torch.cat([keep, keep.new_ones(1)])
    return layer.pair_macs * int(layer.factor(ones).sum()) * int(ones[layer.outputs].sum())


def _kept_parameters(gated: GatedModel, keep: Tensor) -> dict[str, int]:
    """How many numbers of each parameter stay."""
    indices = gated.structure.kept_indices(keep)
    kept = {}
    for name, parameter in gated.model.named_parameters():
        sizes = dict(enumerate(parameter.shape))
        sizes |= {dim: len(index) for dim, index in indices.get(name, {}).items()}
        kept[name] = math.prod(sizes.values())
    return kept


def _shares(
    to_go: tuple[int, int], own: tuple[int, int], whole: tuple[int, int]
) -> tuple[str, str, str, str]:
    """For parameters and MACs: the share of the whole, and how much of it can go."""
    parameters, macs = (
        (f"{100 * mine / max(every, 1):.1f}", f"{100 * gone / max(mine, 1):.1f}")
        for gone, mine, every in zip(to_go, own, whole, strict=True)
    )
    return (*parameters, *macs)

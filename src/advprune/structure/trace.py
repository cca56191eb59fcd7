"""From a model to its structure."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from advprune.structure.closing import close
from advprune.structure.errors import UnsupportedModelError
from advprune.structure.flow import Flow
from advprune.structure.graph import Graph
from advprune.structure.labels import compact, varying
from advprune.structure.parts import Group, Layer
from advprune.structure.plan import Structure
from advprune.structure.resize import names_of, tensors_of
from advprune.structure.sizes import sizes
from advprune.structure.training import export_both
from advprune.structure.walk import walk


def trace(model: nn.Module, example_input: Tensor) -> Structure:
    """Finds the model's groups of channels, the layers that read them and every slicing plan.

    Args:
        model: any module that `torch.export` takes; it is left as it is.
        example_input: (batch, channels, height, width), any batch size.

    Raises:
        UnsupportedModelError: the model cannot be exported, or has no unit that could go; it says
            why of each layer, of an operator without a rule by name and place.
    """
    flow = walk(export_both(model, example_input), model)
    close(flow)
    return _numbered(flow)


def structure_of(
    graph: Graph, model: nn.Module, whole: Mapping[str, str] | None = None
) -> Structure:
    """Returns the structure of a graph whose layers are to be gated at their inputs.

    What a layer chooses from stays whole: a gate would meet all that arrives, not what is read.

    Args:
        graph: the graph.
        model: the network whose modules run when the graph's do: its own model, or a network made
            from the graph.
        whole: by name of a group, why all of it is to stay.

    Raises:
        UnsupportedModelError: as `trace`.
    """
    flow = walk(graph, model)
    for reason, ids in flow.choosing.items():
        flow.units.freeze(ids, reason)
    close(flow)
    for name, reason in (whole or {}).items():
        if (members := flow.units.groups().get(name)) is not None:
            flow.units.freeze(members, reason)
            close(flow)
    return _numbered(flow)


def _numbered(flow: Flow) -> Structure:
    number, groups = _numbers(flow)
    units = sum(group.units for group in groups.values())

    def numbers(ids: Tensor) -> Tensor:
        return number[flow.units.roots(ids)]

    def places(chosen: Tensor | None) -> int:
        own = numbers(chosen) if chosen is not None else number[:0]
        return int(torch.bincount(own[own < units]).max()) if bool((own < units).any()) else 0

    layers = {
        name: Layer(
            name,
            (numbers(reading.inputs),),
            numbers(reading.outputs),
            reading.pair_macs,
            reading.parameter,
            reading.reads,
            None if reading.arriving is reading.inputs else numbers(reading.arriving),
            reading.channels,
            reading.examples,
            places(reading.chosen),
        )
        for name, reading in flow.readings.items()
    }
    blocked = {
        name: _reason(flow, name)
        for name, layer in layers.items()
        if int(layer.outputs.min()) == units
    }
    if not groups:
        alike = {
            why: [name for name in blocked if blocked[name] == why] for why in blocked.values()
        }
        reasons = "".join(f"; {', '.join(names)}: {why}" for why, names in alike.items())
        raise UnsupportedModelError(
            f"the model has no group of channels that could be pruned{reasons}"
        )
    return Structure(
        groups,
        layers,
        slices=_slices(flow, numbers, units),
        counts={name: numbers(ids) for name, ids in flow.counts.items()},
        spans=_spans((numbers(labels) for labels in flow.values()), units),
        sizes={
            name: {place: numbers(ids) for place, ids in places.items()}
            for name, places in sizes(flow).items()
        },
        blocked=blocked,
        hidden=tuple(dict.fromkeys(flow.hidden)),
    )


def _numbers(flow: Flow) -> tuple[Tensor, dict[str, Group]]:
    """Returns each unit's number by its id, and the groups; those left whole have none."""
    read = torch.cat([flow.units.roots(reading.arriving) for reading in flow.readings.values()])
    groups: dict[str, Group] = {}
    found = []
    start = 0
    for name, members in flow.units.groups().items():
        if len(members) > 1 and bool(torch.isin(members, read).any()):
            groups[name] = Group(name, len(members), len(members), start)
            found.append(members)
            start += len(members)
    number = torch.full((flow.units.count,), start)
    if found:
        number[torch.cat(found)] = torch.arange(start)
    return number, groups


def _reason(flow: Flow, layer: str) -> str:
    outputs = flow.readings[layer].outputs
    known = flow.units.why(outputs)
    return known or ("it has one unit" if len(outputs) == 1 else "no layer reads its outputs")


def _slices(
    flow: Flow, numbers: Callable[[Tensor], Tensor], fixed: int
) -> dict[str, dict[int, Tensor]]:
    """Returns the units along each dimension of each tensor of which something can go."""
    found = {
        name: {dim: numbers(ids) for dim, ids in dims.items()} for name, dims in flow.slices.items()
    }
    for name, labels in flow.tensors():
        own = compact(numbers(labels))
        for dim in varying(own):
            found.setdefault(name, {})[dim] = own.flatten()
    same = names_of(tensors_of(flow.model))
    return {
        alias: dims
        for name, every in found.items()
        if (dims := {dim: ids for dim, ids in every.items() if bool((ids != fixed).any())})
        for alias in same.get(name, [name])
    }


def _spans(values: Iterable[Tensor], fixed: int) -> tuple[Tensor, ...]:
    """Returns the sets of units that values consist of, where nothing in them stays anyway."""
    sets = {tuple(torch.unique(numbers).tolist()) for numbers in values}
    return tuple(torch.tensor(units) for units in sorted(sets) if units and units[-1] < fixed)

"""Numbers in a graph's arguments that are widths: they follow the units when it is cut."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.fx import Node

from advprune.structure.flow import Flow, value_of
from advprune.structure.graph import shape_of
from advprune.structure.labels import FIXED, compact
from advprune.structure.plan import Place

Found = Iterator[tuple[Place, Tensor]]


def sizes(flow: Flow) -> dict[str, dict[Place, Tensor]]:
    """Returns, by node, the places of widths and the units that each counts."""
    found = {
        node.name: dict(_SIZED[str(node.target)](flow, node))
        for node in flow.labels
        if str(node.target) in _SIZED
    }
    return {name: places for name, places in found.items() if places}


def _line(flow: Flow, labels: Tensor, dim: int, size: int) -> Tensor:
    """Returns (size,) the units along one dimension of a value; those across it count nothing."""
    present = compact(flow.units.roots(labels))
    if present.shape[dim] == 1:
        return torch.full((size,), FIXED)
    line = present.movedim(dim, 0).flatten(1)[:, 0]
    return line.expand(size)


def _shape(position: int) -> Callable[[Flow, Node], Found]:
    def places(flow: Flow, node: Node) -> Found:
        shape, given = shape_of(node), node.args[position]
        assert isinstance(given, (list, tuple))
        offset = len(shape) - len(given)
        for index, size in enumerate(given):
            if isinstance(size, int) and size > 1:
                dim = index + offset
                yield (position, index), _line(flow, flow.of(node), dim, shape[dim])

    return places


def _slice(flow: Flow, node: Node) -> Found:
    source, dim, *ends = node.args
    labels, size = flow.of(source), flow.full(source).shape[int(str(dim))]
    line = _line(flow, labels, int(str(dim)), size)
    for position, end in enumerate(ends[:2], start=2):
        if isinstance(end, int) and 0 < end < size:
            yield (position, None), line[:end]


def _split(flow: Flow, node: Node) -> Found:
    parts, given = flow.labels[node], value_of(node.args[1])
    if isinstance(parts, Tensor):  # all of it stays, as what is split does
        return
    dim = int(str(node.args[2])) if len(node.args) > 2 else 0
    for index, (part, size) in enumerate(zip(parts, given, strict=True)):
        yield (1, index), _line(flow, part, dim, size)


def _select(flow: Flow, node: Node) -> Found:
    source, dim, index = node.args
    size = flow.full(source).shape[int(str(dim))]
    if isinstance(index, int) and index > 0:
        yield (2, None), _line(flow, flow.of(source), int(str(dim)), size)[:index]


def _group_norm(flow: Flow, node: Node) -> Found:
    channels = _line(flow, flow.of(node), 1, shape_of(node)[1])
    yield (4, None), channels
    yield (6, None), channels[:: len(channels) // int(str(node.args[6]))]


def _convolution(flow: Flow, node: Node) -> Found:
    """Groups that each stay inside one unit go; those cut by position stay in number."""
    groups, outputs = int(str(node.args[8])), _line(flow, flow.of(node), 1, shape_of(node)[1])
    rows = outputs.view(groups, -1)
    weight = flow.slices.get(flow.parameter(node.args[1]) or "", {})
    if groups > 1 and 1 not in weight and len(torch.unique(rows[:, 0])) > 1:
        yield (8, None), rows[:, 0]


_SIZED: dict[str, Callable[[Flow, Node], Found]] = {
    "aten.view.default": _shape(1),
    "aten.reshape.default": _shape(1),
    "aten._unsafe_view.default": _shape(1),
    "aten.expand.default": _shape(1),
    "aten.full.default": _shape(0),
    "aten.slice.Tensor": _slice,
    "aten.split_with_sizes.default": _split,
    "aten.select.int": _select,
    "aten.native_group_norm.default": _group_norm,
    "aten.convolution.default": _convolution,
}

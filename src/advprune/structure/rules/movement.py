"""Operators that move elements without mixing them: labels are moved by the operator itself."""

from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from advprune.structure.flow import Flow, Labels, fixed, rule, value_of
from advprune.structure.graph import shape_of
from advprune.structure.labels import FIXED, compact, varying

MOVING = """
as_strided cat diagonal.default expand flip narrow.default permute
pixel_shuffle pixel_unshuffle repeat roll select.int select_scatter slice.Tensor slice_scatter
split_with_sizes squeeze squeeze.dim squeeze.dims stack t transpose.int unbind.int unsqueeze
split.Tensor unfold.default
"""

VIEWS = ("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default")
_MOVED = tuple(f"aten.{name}" if "." in name else f"aten.{name}.default" for name in MOVING.split())
MOVES = frozenset((*_MOVED, *VIEWS, "<built-in function getitem>"))
"""Operators that only move elements."""


@rule(*_MOVED)
def _move(flow: Flow, node: Node) -> Labels:
    args = [_moved(flow, argument) for argument in node.args]
    kwargs = {name: _moved(flow, argument) for name, argument in node.kwargs.items()}
    assert callable(node.target)
    result: Tensor | tuple[Tensor, ...] = node.target(*args, **kwargs)
    return compact(result) if isinstance(result, Tensor) else [compact(part) for part in result]


def _moved(flow: Flow, argument: Any) -> Any:
    """Returns the labels in place of a value, numbers in place of sizes."""
    argument = value_of(argument)
    if isinstance(argument, Node):
        return flow.full(argument).contiguous()
    return [_moved(flow, item) for item in argument] if isinstance(argument, list) else argument


@rule(*VIEWS)
def _view(flow: Flow, node: Node) -> Labels:
    return compact(flow.full(node.args[0]).reshape(shape_of(node)))


@rule("aten.channel_shuffle.default", "aten.native_channel_shuffle.default")
def _shuffle(flow: Flow, node: Node) -> Labels:
    labels, groups = flow.full(node.args[0]), int(str(node.args[1]))
    rows = labels.reshape(len(labels), groups, -1, *labels.shape[2:])
    flow.grids.append((node, compact(rows)))
    return compact(rows.transpose(1, 2).reshape(labels.shape))


@rule("aten.constant_pad_nd.default")
def _pad(flow: Flow, node: Node) -> Labels:
    """What is padded beside a channel's positions is the channel's; new channels stay."""
    labels, pad = flow.present(node.args[0]), value_of(node.args[1])
    amounts = [0] * 2 * labels.dim()
    for side, amount in enumerate(pad):
        dim = labels.dim() - 1 - side // 2
        amounts[side] = amount if dim in varying(labels) else 0
    return compact(torch.nn.functional.pad(labels, amounts, value=FIXED))


@rule("aten.im2col.default")
def _unfold(flow: Flow, node: Node) -> Labels:
    """Each channel's window becomes as many channels, side by side."""
    labels = flow.merge(node, flow.of(node.args[0]), [-2, -1])
    count = flow.full(node.args[0]).shape[-3]
    window = shape_of(node)[-2] // count
    channels = labels.expand(*labels.shape[:-3], count, 1, 1)
    return compact(channels.flatten(-3).repeat_interleave(window, dim=-1).unsqueeze(-1))


@rule("aten.index_select.default")
def _index_select(flow: Flow, node: Node) -> Labels:
    source, dim, index = node.args
    return _picked(flow, node, source, [None] * (int(str(dim)) % flow.of(source).dim()) + [index])


@rule("aten.index.Tensor")
def _index(flow: Flow, node: Node) -> Labels:
    source, indices = node.args
    assert isinstance(indices, (list, tuple))
    return _picked(flow, node, source, list(indices))


@rule("aten.embedding.default")
def _embedding(flow: Flow, node: Node) -> Labels:
    return _picked(flow, node, node.args[0], [node.args[1]])


def _picked(flow: Flow, node: Node, source: Any, indices: list[Any]) -> Labels:
    """Picks by indices that are known when the graph is, as buffers and constants are."""
    values = [None if index is None else flow.constant(index) for index in indices]
    if any(
        value is None and index is not None for index, value in zip(indices, values, strict=True)
    ):
        return flow.freeze(node, source, reason="picks by an index that depends on the image")
    return compact(flow.full(source)[tuple(slice(None) if v is None else v.cpu() for v in values)])


@rule("<built-in function getitem>")
def _getitem(flow: Flow, node: Node) -> Labels:
    source: Any = node.args[0]
    number: Any = node.args[1]
    flow.of(source)
    labels: Labels = flow.labels[source]
    if isinstance(labels, list):
        part: Tensor = labels[number]
        return part
    return labels if labels.dim() == len(shape_of(node)) else fixed(node)

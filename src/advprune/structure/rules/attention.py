"""Products of two values: what they sum over is tied, and so are the rows that they pair."""

from typing import Any

from torch import Tensor
from torch.fx import Node

from advprune.structure.flow import Flow, Labels, joins, rule, said
from advprune.structure.graph import shape_of
from advprune.structure.labels import broadcast, compact
from advprune.structure.rules.layers import product


@rule("aten.mm.default")
def _mm(flow: Flow, node: Node) -> Labels:
    if flow.parameter(node.args[1]) is not None:
        return product(flow, node, node.args[0], node.args[1], 0)
    return _paired(flow, node, node.args[0], node.args[1])


@rule("aten.bmm.default", "aten.matmul.default")
def _bmm(flow: Flow, node: Node) -> Labels:
    return _paired(flow, node, node.args[0], node.args[1])


@rule("aten.baddbmm.default")
def _baddbmm(flow: Flow, node: Node) -> Labels:
    flow.labels[node] = _paired(flow, node, node.args[1], node.args[2])
    return flow.meet(node, node, node.args[0])


@rule("aten.scaled_dot_product_attention.default")
def _attention(flow: Flow, node: Node) -> Labels:
    """Queries and keys are summed over their width, keys and values over the tokens.

    What is left of them, and of the value's width, belongs to a head.
    """
    query, key, value, *mask = node.args[:4]
    if shape_of(query)[:-2] != shape_of(key)[:-2]:  # type: ignore[arg-type]
        return flow.freeze(node, query, key, value, reason="shares keys among queries")
    rows = [flow.merge(node, flow.of(query), [-1]), flow.merge(node, flow.of(key), [-1, -2])]
    labels = _tied(flow, node, [*rows, flow.merge(node, flow.of(value), [-2])])
    if mask and mask[0] is not None:
        flow.units.freeze(flow.of(mask[0]), f"{said(node)} uses it as a mask")
    return labels


def _paired(flow: Flow, node: Node, left: Any, right: Any) -> Labels:
    rows = flow.merge(node, flow.of(left), [-1]), flow.merge(node, flow.of(right), [-2])
    return _tied(flow, node, list(rows))


def _tied(flow: Flow, node: Node, parts: list[Tensor]) -> Tensor:
    result = parts[0]
    for part in parts[1:]:
        flow.units.tie(result, part, joins(node))
        result = broadcast(result, part)
    return compact(result)

"""Layers: they read units along one dimension of a weight and make units along another."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from advprune.structure.examples import examples_in
from advprune.structure.flow import Flow, Labels, rule
from advprune.structure.graph import BATCH, caller_of, shape_of
from advprune.structure.labels import FIXED, spread, varying
from advprune.structure.parts import Reading


@rule("aten.convolution.default")
def _convolution(flow: Flow, node: Node) -> Labels:
    """Grouped ones go by whole groups where these are many or depthwise, else by position."""
    groups = int(str(node.args[8]))
    made = shape_of(node)[1] // groups
    x = flow.merge(node, flow.of(node.args[0]), range(2, len(shape_of(node))))
    rows = _channels(flow, x, 1, flow.full(node.args[0]).shape[1]).view(groups, -1)
    live = bool((flow.units.roots(rows) != FIXED).any())
    by_groups = groups > 1 and (rows.shape[1] == 1 or groups > max(rows.shape[1], made))
    if by_groups and live:
        outputs = _passed_by_groups(flow, node, rows, made)
    else:
        outputs = _read_by_position(flow, node, rows, made)
    if node.args[2] is not None:
        flow.units.tie(flow.of(node.args[2]).flatten(), outputs)
    return spread(outputs, 1, len(shape_of(node)))


@rule("aten.linear.default")
def _linear(flow: Flow, node: Node) -> Labels:
    bias = node.args[2] if len(node.args) > 2 else None
    return product(flow, node, node.args[0], node.args[1], 1, bias)


@rule("aten.addmm.default")
def _addmm(flow: Flow, node: Node) -> Labels:
    return product(flow, node, node.args[1], node.args[2], 0, node.args[0])


def product(flow: Flow, node: Node, x: Any, weight: Any, reads: int, bias: Any = None) -> Labels:
    """A product of a value's last dimension with the dimension `reads` of a weight."""
    shape = shape_of(node)
    inputs = _channels(flow, flow.present(x), -1, shape_of(x)[-1])
    outputs = flow.units.fresh(flow.layer(node, weight), shape[-1])
    pair = math.prod(shape[:-1]) // BATCH
    _read(flow, node, x, weight, Reading(reads, inputs, outputs, inputs, -1, pair))
    if bias is not None:
        flow.units.tie(flow.of(bias).flatten(), outputs)
    return spread(outputs, -1, len(shape))


def _read_by_position(flow: Flow, node: Node, rows: Tensor, made: int) -> Tensor:
    """Each group of the convolution loses the channels of the same positions."""
    inputs = flow.merge(node, rows, [0])[0]
    one = flow.units.fresh(flow.layer(node, node.args[1]), made)
    every = one.repeat(len(rows))
    if node.args[6]:  # transposed: the weight is (inputs, outputs of a group, ...)
        reading = Reading(0, rows.flatten(), one, rows.flatten(), 1, _pair(node))
    else:
        reading = Reading(1, inputs, every, rows.flatten(), 1, _pair(node))
    _read(flow, node, node.args[0], node.args[1], reading)
    return every


def _passed_by_groups(flow: Flow, node: Node, rows: Tensor, made: int) -> Tensor:
    """Each group of the convolution stays inside one unit and goes with it."""
    first = flow.merge(node, rows, [1])
    outputs, stays = first.expand(-1, made).flatten(), torch.full_like(rows[0], FIXED)
    weight = node.args[1]
    _slice(flow, weight, {0: rows.flatten() if node.args[6] else outputs})
    flow.count(f"{caller_of(node)}.groups", first.flatten())
    flow.note(node, weight, Reading(1, stays, outputs, stays, 1, _pair(node)))
    return outputs


def _read(flow: Flow, node: Node, x: Any, weight: Any, reading: Reading) -> None:
    """Notes a layer that reads and makes units, as far as its weight can be cut."""
    layer = flow.layer(node, weight)
    _slice(flow, weight, {1 - reading.reads: reading.outputs})
    if flow.parameter(weight) is None:
        reason = f"{layer} computes its weight, into which no gate folds"
        flow.units.freeze(reading.arriving, reason)
    else:
        flow.slice(weight, {reading.reads: reading.inputs})
        _note_hidden(flow, node, x, weight, reading)
    examples = examples_in(flow, flow.entering(node, x))
    flow.note(node, weight, replace(reading, examples=examples, chosen=_chosen(flow, x)))


def _chosen(flow: Flow, x: Any) -> Tensor | None:
    """Returns the units of what inputs are chosen from one by one."""
    if str(x.target) != "aten.index_select.default" or x.args[1] not in (-1, len(shape_of(x)) - 1):
        return None
    labels = flow.of(x.args[0])
    return labels.expand(*labels.shape[:-1], shape_of(x.args[0])[-1]).flatten()


def _note_hidden(flow: Flow, node: Node, x: Any, weight: Any, reading: Reading) -> None:
    """Notes a layer that no gate can sit on, and what therefore stays."""
    layer = flow.layer(node, weight)
    if not flow.is_called(node, weight):
        flow.units.freeze(reading.arriving, f"{layer} is read without calling this layer")
    elif not _arrives(flow, flow.entering(node, x), reading):
        every = torch.cat([reading.arriving, flow.of(x).flatten()])
        flow.choosing[f"{layer} chooses among its inputs itself"] = every
    else:
        return
    flow.hidden.append(layer)


def _slice(flow: Flow, weight: Any, dims: dict[int, Tensor]) -> None:
    """Notes the units along dimensions of a weight; in a computed one they are those it has."""
    if flow.parameter(weight) is not None:
        flow.slice(weight, dims)
        return
    for dim, ids in dims.items():
        labels = flow.of(weight)
        flow.units.tie(spread(ids, dim, labels.dim()), labels, "its weight is computed as a whole")


def _arrives(flow: Flow, x: Any, reading: Reading) -> bool:
    """Whether the value has, channel by channel, the units that the layer reads."""
    size = shape_of(x)[reading.channels]
    labels = flow.present(x)
    if size != len(reading.arriving) or set(varying(labels)) - {reading.channels % labels.dim()}:
        return False
    arriving = flow.units.roots(reading.arriving)
    return bool((flow.units.roots(labels.flatten().expand(size)) == arriving).all())


def _channels(flow: Flow, labels: Tensor, dim: int, size: int) -> Tensor:
    """Returns (size,) the units along a dimension; where they vary along another, they stay."""
    dim %= labels.dim()
    if set(varying(labels)) - {dim}:
        across = "it is read across another dimension than its channels"
        flow.units.freeze(labels, flow.units.why(labels) or across)
        return torch.full((size,), FIXED)
    return labels.flatten().expand(size).clone()


def _pair(node: Node) -> int:
    """Returns the multiply-accumulates of one input channel feeding one output, per example."""
    kernel = shape_of(node.args[1])[2:]  # type: ignore[arg-type]
    positions = shape_of(node.args[0] if node.args[6] else node)  # type: ignore[arg-type]
    return math.prod(kernel) * positions[0] * math.prod(positions[2:]) // BATCH

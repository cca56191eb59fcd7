"""Norms: whatever shares a mean and a variance is tied."""

from typing import Any

from torch import Tensor
from torch.fx import Node

from advprune.structure.flow import Flow, Labels, joins, rule
from advprune.structure.graph import BATCH, caller_of, shape_of
from advprune.structure.labels import spread


@rule("aten._native_batch_norm_legit_no_training.default")
def _batch_norm(flow: Flow, node: Node) -> Labels:
    return _affine(flow, node, flow.of(node.args[0]), 1, *node.args[1:5])


@rule("aten._native_batch_norm_legit.no_stats")
def _own_statistics(flow: Flow, node: Node) -> Labels:
    """Instance norm: the batch lies along the channels, and each is normalised by itself."""
    labels = flow.of(node.args[0])
    merged = flow.merge(node, labels, [dim for dim in range(labels.dim()) if dim != 1])
    flow.count(f"{caller_of(node)}.num_features", merged.flatten()[: labels.shape[1] // BATCH])
    return _affine(flow, node, merged, 1, *node.args[1:3])


@rule("aten.native_layer_norm.default", "aten._fused_rms_norm.default")
def _layer_norm(flow: Flow, node: Node) -> Labels:
    shape, affine = node.args[1], node.args[2:4] if "layer" in str(node.target) else node.args[2:3]
    assert isinstance(shape, (list, tuple))
    merged = flow.merge(node, flow.of(node.args[0]), range(-len(shape), 0))
    for parameter in affine:
        if parameter is not None:
            flow.units.tie(merged, flow.of(parameter), joins(node))
    return merged


@rule("aten.native_group_norm.default")
def _group_norm(flow: Flow, node: Node) -> Labels:
    shape, groups = shape_of(node), int(str(node.args[6]))
    labels = flow.full(node.args[0]).reshape(shape[0], groups, -1)
    merged = flow.merge(node, labels, [0, 2]).flatten()
    module = caller_of(node)
    channels = merged.repeat_interleave(shape[1] // groups)
    flow.count(f"{module}.num_groups", merged)
    flow.count(f"{module}.num_channels", channels)
    return _affine(flow, node, spread(channels, 1, len(shape)), 1, *node.args[1:3])


def _affine(flow: Flow, node: Node, labels: Tensor, dim: int, *parameters: Any) -> Tensor:
    """Ties the parameters of a norm to the units along a dimension."""
    for parameter in parameters:
        if parameter is not None:
            own = flow.of(parameter).flatten()
            lined = own.view([-1 if place == dim else 1 for place in range(labels.dim())])
            flow.units.tie(labels, lined, joins(node))
    return labels

"""Operators that mix elements along dimensions: what they mix is tied.

Where units do not vary along those dimensions, as over positions of one channel, nothing is.
"""

from typing import Any

from torch.fx import Node

from advprune.structure.flow import Flow, Labels, rule
from advprune.structure.graph import shape_of
from advprune.structure.labels import compact


def _dims(argument: Any, rank: int) -> list[int]:
    """Returns the dimensions that an argument names; none named are all."""
    if isinstance(argument, int):
        return [argument % max(rank, 1)]
    return [dim % rank for dim in argument] if argument else list(range(rank))


def _argument(node: Node, position: int, name: str) -> Any:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name)


@rule(
    "aten.mean.dim",
    "aten.sum.dim_IntList",
    "aten.amax.default",
    "aten.amin.default",
    "aten.var.correction",
    "aten.var.dim",
    "aten.var_mean.correction",
    "aten.std.correction",
    "aten.any.dim",
    "aten.any.dims",
    "aten.all.dim",
    "aten.prod.dim_int",
    "aten.argmax.default",
    "aten.argmin.default",
    "aten.max.dim",
    "aten.min.dim",
    "aten.logsumexp.default",
)
def _reduction(flow: Flow, node: Node) -> Labels:
    return _reduced(flow, node, _argument(node, 1, "dim"))


@rule("aten.linalg_vector_norm.default")
def _vector_norm(flow: Flow, node: Node) -> Labels:
    return _reduced(flow, node, _argument(node, 2, "dim"))


@rule("aten.mean.default", "aten.sum.default", "aten.max.default", "aten.min.default")
def _total(flow: Flow, node: Node) -> Labels:
    return _reduced(flow, node, None)


@rule(
    "aten._softmax.default",
    "aten._log_softmax.default",
    "aten.cumsum.default",
    "aten.cumprod.default",
    "aten.topk.default",
    "aten.sort.default",
    "aten.glu.default",
)
def _along(flow: Flow, node: Node) -> Labels:
    """Along one dimension, which the value keeps."""
    dim = _argument(node, 2 if str(node.target) == "aten.topk.default" else 1, "dim")
    labels = flow.of(node.args[0])
    return compact(flow.merge(node, labels, [-1 if dim is None else dim]))


@rule(
    "aten.max_pool2d_with_indices.default",
    "aten.avg_pool2d.default",
    "aten._adaptive_avg_pool2d.default",
    "aten.adaptive_max_pool2d.default",
    "aten.reflection_pad2d.default",
    "aten.replication_pad2d.default",
    "aten.upsample_nearest2d.vec",
    "aten.upsample_nearest2d.default",
    "aten._upsample_nearest_exact2d.default",
    "aten.upsample_bilinear2d.vec",
    "aten.upsample_bilinear2d.default",
    "aten._upsample_bilinear2d_aa.default",
    "aten.upsample_bicubic2d.vec",
    "aten.upsample_bicubic2d.default",
    "aten.grid_sampler_2d.default",
)
def _plane(flow: Flow, node: Node) -> Labels:
    """Pools, resizes and pads that mix positions of the last two dimensions."""
    return flow.merge(node, flow.of(node.args[0]), [-2, -1])


@rule(
    "aten.max_pool1d_with_indices.default",
    "aten.avg_pool1d.default",
    "aten.adaptive_avg_pool1d.default",
    "aten.reflection_pad1d.default",
    "aten.replication_pad1d.default",
    "aten.upsample_linear1d.vec",
    "aten.upsample_nearest1d.vec",
)
def _line(flow: Flow, node: Node) -> Labels:
    return flow.merge(node, flow.of(node.args[0]), [-1])


@rule(
    "aten.max_pool3d_with_indices.default",
    "aten.avg_pool3d.default",
    "aten._adaptive_avg_pool3d.default",
    "aten.reflection_pad3d.default",
    "aten.replication_pad3d.default",
    "aten.upsample_nearest3d.vec",
    "aten.upsample_trilinear3d.vec",
)
def _space(flow: Flow, node: Node) -> Labels:
    return flow.merge(node, flow.of(node.args[0]), [-3, -2, -1])


def _reduced(flow: Flow, node: Node, argument: Any) -> Labels:
    labels = flow.of(node.args[0])
    dims = _dims(argument, labels.dim())
    merged = flow.merge(node, labels, dims)
    if len(shape_of(node)) == labels.dim():
        return merged
    for dim in sorted(dims, reverse=True):
        merged = merged.squeeze(dim)
    return merged

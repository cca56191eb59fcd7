"""One small rule per operator: how units flow from its inputs to its output.

A rule gets the flow so far and the node, and returns the labels of the node's value: the unit of
every element. Whatever has no rule is refused by name, never guessed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.fx import Node

from advprune.structure.graph import BATCH, Graph, holds_tensor, refusal, shape_of
from advprune.structure.labels import FIXED, Units, along, spread

Labels = Tensor | None
"""Units of every element of a value; None for what holds no units (parameters, constants)."""


@dataclass
class Flow:
    """Units on their way through a graph.

    Attributes:
        graph: the graph that is walked.
        units: all units met so far.
        labels: by node.
        slices: by parameter name and dimension, the units along it.
        reads: by layer name: units of its inputs, units of its outputs, MACs of one pair.
    """

    graph: Graph
    units: Units = field(default_factory=Units)
    labels: dict[Node, Labels] = field(default_factory=dict)
    slices: dict[str, dict[int, Tensor]] = field(default_factory=dict)
    reads: dict[str, tuple[Tensor, Tensor, int]] = field(default_factory=dict)

    def slice(self, node: Node, argument: int, dims: dict[int, Tensor]) -> None:
        """Notes the units along dimensions of the parameter that is the node's n-th argument.

        A parameter that is used twice has its units tied.
        """
        source = node.args[argument] if argument < len(node.args) else None
        if source is None:
            return
        if not isinstance(source, Node) or source.name not in self.graph.tensors:
            raise refusal(node, "its weight is computed, not a parameter or buffer of a module")
        known = self.slices.setdefault(self.graph.tensors[source.name], {})
        for dim, ids in dims.items():
            if dim in known:
                self.units.tie(known[dim], ids)
            known[dim] = ids

    def layer(self, node: Node, inputs: Tensor, outputs: Tensor, pair_macs: int) -> None:
        """Notes a layer that reads `inputs` and makes `outputs`."""
        name = self.owner(node)
        before = self.reads.get(name)
        if before is not None:
            self.units.tie(before[1], outputs)
        total = pair_macs + (before[2] if before else 0)
        self.reads[name] = (inputs, outputs, total)

    def owner(self, node: Node) -> str:
        """Returns the qualified name of the module whose weight the node reads."""
        weight = node.args[1]
        if not isinstance(weight, Node) or weight.name not in self.graph.tensors:
            raise refusal(node, "its weight is computed, not a parameter of a module")
        return self.graph.tensors[weight.name].rpartition(".")[0]

    def of(self, node: Node, argument: int = 0) -> Tensor:
        """Returns the labels of the node's n-th argument."""
        source = node.args[argument]
        labels = self.labels[source] if isinstance(source, Node) else None
        if labels is None:
            raise refusal(node, f"its argument {argument} is no value computed from the image")
        return labels

    def channels(self, node: Node, dim: int = 1) -> Tensor:
        """Returns the units along a dimension of the first argument; they vary along no other."""
        ids = along(self.of(node), dim)
        if ids is None:
            raise refusal(node, "it mixes positions that belong to different units")
        return ids


Rule = Callable[[Flow, Node], Labels]
RULES: dict[str, Rule] = {}


def rule(*operators: str) -> Callable[[Rule], Rule]:
    """Registers the rule of one or more operators."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(operators, function))
        return function

    return register


@rule("aten.convolution.default")
def _convolution(flow: Flow, node: Node) -> Labels:
    transposed, groups = node.args[6], node.args[8]
    if transposed or groups != 1:
        raise refusal(node, "grouped and transposed convolutions have no rule yet")
    weight = node.args[1]
    inputs, shape = flow.channels(node), shape_of(node)
    outputs = flow.units.fresh(flow.owner(node), shape[1])
    flow.slice(node, 1, {0: outputs, 1: inputs})
    flow.slice(node, 2, {0: outputs})
    kernel = shape_of(weight)[2:] if isinstance(weight, Node) else ()
    flow.layer(node, inputs, outputs, math.prod(kernel) * math.prod(shape[2:]))
    return spread(outputs, 1, shape)


@rule("aten.linear.default")
def _linear(flow: Flow, node: Node) -> Labels:
    shape = shape_of(node)
    last = len(shape) - 1
    inputs = flow.channels(node, last)
    outputs = flow.units.fresh(flow.owner(node), shape[-1])
    flow.slice(node, 1, {0: outputs, 1: inputs})
    flow.slice(node, 2, {0: outputs})
    flow.layer(node, inputs, outputs, math.prod(shape[1:-1]))
    return spread(outputs, last, shape)


@rule("aten._native_batch_norm_legit_no_training.default")
def _batch_norm(flow: Flow, node: Node) -> Labels:
    channels = flow.channels(node)
    for argument in range(1, 5):
        flow.slice(node, argument, {0: channels})
    return flow.of(node)


@rule(
    "aten.max_pool2d_with_indices.default",
    "aten.avg_pool2d.default",
    "aten._adaptive_avg_pool2d.default",
    "aten.mean.dim",
)
def _pool(flow: Flow, node: Node) -> Labels:
    dims = node.args[1] if str(node.target) == "aten.mean.dim" else ()
    rank = flow.of(node).dim()
    reduced = {int(dim) % rank for dim in dims} if isinstance(dims, (list, tuple)) else {0}
    if reduced & {0, 1}:
        raise refusal(node, "it averages over the batch or over channels")
    return spread(flow.channels(node), 1, shape_of(node))


@rule(
    "aten.relu.default",
    "aten.leaky_relu.default",
    "aten.elu.default",
    "aten.gelu.default",
    "aten.hardtanh.default",
    "aten.sigmoid.default",
    "aten.tanh.default",
    "aten.clamp.default",
    "aten.clone.default",
    "aten.alias.default",
    "aten.neg.default",
)
def _elementwise(flow: Flow, node: Node) -> Labels:
    return flow.of(node)


@rule("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default")
def _view(flow: Flow, node: Node) -> Labels:
    shape = shape_of(node)
    if shape[0] != BATCH:
        raise refusal(node, f"the new shape {tuple(shape)} does not keep the batch apart")
    return flow.of(node).reshape(shape)


@rule("aten.add.Tensor", "aten.sub.Tensor", "aten.mul.Tensor", "aten.div.Tensor")
def _combine(flow: Flow, node: Node) -> Labels:
    if not isinstance(node.args[1], Node):  # a number
        return flow.of(node)
    left, right = flow.of(node, 0), flow.of(node, 1)
    if left.shape != right.shape:
        raise refusal(node, "values of different shapes meet, which has no rule yet")
    flow.units.tie(left, right)
    return left


@rule("aten.index_select.default")
def _index_select(flow: Flow, node: Node) -> Labels:
    dim, index = int(str(node.args[1])), node.args[2]
    known = flow.graph.values.get(index.name) if isinstance(index, Node) else None
    if known is None or dim % flow.of(node).dim() == 0:
        raise refusal(node, "it picks examples, or by an index that is no buffer of a module")
    return flow.of(node).index_select(dim, known.cpu())


@rule("<built-in function getitem>")
def _getitem(flow: Flow, node: Node) -> Labels:
    if node.args[1] != 0:
        raise refusal(node, "only the first result of the operator has a rule")
    return flow.of(node)


def walk(graph: Graph) -> Flow:
    """Lets units flow over the whole graph and ties the image's and the logits' to what stays.

    Raises:
        UnsupportedOperatorError: an operator that meets units and has no rule.
    """
    flow = Flow(graph)
    for node in graph.nodes:
        if node.op == "placeholder":
            image = node.name not in graph.tensors
            flow.labels[node] = torch.full(shape_of(node), FIXED) if image else None
        elif node.op == "output":
            _freeze(flow, node)
        else:
            flow.labels[node] = _apply(flow, node)
    return flow


def _apply(flow: Flow, node: Node) -> Labels:
    if not holds_tensor(node):  # a size, or a check of one
        return None
    labels = [flow.labels[source] for source in node.all_input_nodes]
    met = [label for label in labels if label is not None]
    if not met:
        return None
    if _untouched(met) and not _makes_units(node):  # computed from the image alone: it stays
        return torch.full(shape_of(node), FIXED)
    known = RULES.get(str(node.target))
    if known is None:
        raise refusal(node, "no rule says how channels flow through it")
    return known(flow, node)


def _untouched(met: list[Tensor]) -> bool:
    return all(bool((labels == FIXED).all()) for labels in met)


def _makes_units(node: Node) -> bool:
    return str(node.target) in {"aten.convolution.default", "aten.linear.default"}


def _freeze(flow: Flow, node: Node) -> None:
    for source in node.all_input_nodes:
        labels = flow.labels[source]
        if labels is not None:
            flow.units.tie(labels, torch.full_like(labels, FIXED))

"""Letting units flow over a whole graph."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.fx import Node

import advprune.structure.rules  # noqa: F401 - registers the rules
from advprune.structure.flow import RULES, Flow, Labels, fixed, is_tensor
from advprune.structure.graph import Graph, refusal, results_of
from advprune.structure.labels import FIXED, spread

MAKERS = {f"aten.{name}.default" for name in ("convolution", "linear", "addmm", "mm")}


def walk(graph: Graph, model: nn.Module) -> Flow:
    """Lets units flow over the graph and ties the image's and the output's to what stays.

    What meets an operator without a rule stays, too, and says which one it is.

    Args:
        graph: the graph.
        model: the network whose modules run when the graph's do.
    """
    flow = Flow(graph, model)
    for node in graph.nodes:
        _pass(flow, node)
    _train(flow)
    for name, labels in flow.tensors():
        for dim, ids in flow.slices.get(name, {}).items():  # a weight that is used otherwise, too
            flow.units.tie(
                spread(ids, dim, labels.dim()), labels, f"'{name}' joins it to what stays"
            )
    return flow


def _pass(flow: Flow, node: Node) -> None:
    if node.op == "placeholder" and node.name not in flow.graph.tensors:
        flow.labels[node] = fixed(node)
    elif node.op == "output":
        _give(flow, results_of(node))
    elif any(source in flow.labels for source in node.all_input_nodes) and _has_value(node):
        flow.labels[node] = _apply(flow, node)


def _give(flow: Flow, results: Iterable[Node]) -> None:
    for source in filter(is_tensor, results):
        flow.units.freeze(flow.of(source), "its outputs are the model's")


def _train(flow: Flow) -> None:
    """Passes what runs in train mode alone: it reads units, but makes none and costs nothing."""
    start, work = flow.units.count, {name: r.pair_macs for name, r in flow.readings.items()}
    for node in flow.graph.training:
        _pass(flow, node)
    _give(flow, flow.graph.training_results)
    made = flow.units.roots(torch.arange(start, flow.units.count))
    flow.units.freeze(made[made >= start], "it runs in train mode alone")
    for name, reading in flow.readings.items():
        flow.readings[name] = replace(reading, pair_macs=work.get(name, 0))


def _has_value(node: Node) -> bool:
    return node.op == "call_function" and (
        is_tensor(node) or isinstance(node.meta.get("val"), list)
    )


def _apply(flow: Flow, node: Node) -> Labels:
    met = [source for source in node.all_input_nodes if source in flow.labels]
    others = set(filter(is_tensor, node.all_input_nodes)) - set(met)
    own = all(source.op == "placeholder" for source in others)
    if own and str(node.target) not in MAKERS and all(_stays(flow, source) for source in met):
        flow.labels |= {source: fixed(source) for source in others}  # as large as what it meets
        return fixed(node)
    known = RULES.get(str(node.target))
    return _left_whole(flow, node) if known is None else known(flow, node)


def _left_whole(flow: Flow, node: Node) -> Labels:
    reason = str(refusal(node, "no rule says how channels flow through it"))
    for source in filter(is_tensor, node.all_input_nodes):
        flow.units.freeze(flow.of(source), reason)
    return fixed(node)


def _stays(flow: Flow, source: Node) -> bool:
    labels = flow.labels[source]
    parts = [labels] if isinstance(labels, Tensor) else labels
    return all(bool((flow.units.roots(part) == FIXED).all()) for part in parts)

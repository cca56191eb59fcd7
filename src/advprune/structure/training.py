"""What a model runs in train mode alone, such as an auxiliary head, in one graph with the rest."""

import copy
import warnings
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.fx import Node
from torch.fx.node import map_arg

from advprune.structure.errors import UnsupportedModelError
from advprune.structure.graph import Graph, export, graph_of, module_of, results_of


def export_both(model: nn.Module, example_input: Tensor) -> Graph:
    """Returns the model's graph in eval mode, followed by what runs in train mode alone.

    Only a model that leaves parameters unread in eval mode is looked at in train mode; where that
    fails, a warning says so.

    Args:
        model: any module of one image batch; it is left as it is.
        example_input: (batch, channels, height, width), any batch size.

    Raises:
        UnsupportedModelError: as `export`.
    """
    graph = export(model, example_input)
    unread = _unread(graph)
    if not unread:
        return graph
    try:
        trained = graph_of(copy.deepcopy(model).train(), example_input)
    except UnsupportedModelError as error:
        warnings.warn(
            f"{type(model).__name__} does not read {', '.join(sorted(unread))} in eval mode; if it "
            f"does in train mode, that fails once the network is cut: {error}",
            stacklevel=3,
        )
        return graph
    return _joined(graph, trained) if unread - _unread(trained) else graph


def _unread(graph: Graph) -> set[str]:
    """Returns the names of the parameters that no node reads, under any of their names."""
    parameters = {
        node: graph.values[node.name]
        for node in graph.nodes
        if isinstance(graph.values.get(node.name), nn.Parameter)
    }
    read = {id(value) for node, value in parameters.items() if node.users}
    return {graph.tensors[node.name] for node, value in parameters.items() if id(value) not in read}


def _joined(graph: Graph, trained: Graph) -> Graph:
    """Returns the first graph, followed by those nodes of the other that it has no equal of."""
    own = graph.nodes[0].graph
    tensors, values = dict(graph.tensors), dict(graph.values)
    equal = {_key(graph, node, (node.args, node.kwargs)): node for node in graph.nodes}
    same: dict[Node, Node] = {}
    added: list[Node] = []
    for node in trained.nodes[:-1]:
        key = _key(trained, node, map_arg((node.args, node.kwargs), same.__getitem__))
        if key not in equal:
            equal[key] = own.node_copy(node, same.__getitem__)
            added.append(equal[key])
            if node.name in trained.tensors:  # a constant
                tensors[equal[key].name] = f"{trained.tensors[node.name]}_in_training"
                values[equal[key].name] = trained.values[node.name]
        same[node] = equal[key]
    results = tuple(same[result] for result in results_of(trained.nodes[-1]))
    return replace(
        graph, tensors=tensors, values=values, training=tuple(added), training_results=results
    )


def _key(graph: Graph, node: Node, arguments: Any) -> tuple[Any, ...]:
    """Returns what is equal for nodes that compute the same, given arguments of one graph."""
    value = graph.values.get(node.name)
    if value is not None:
        constant = None if isinstance(value, nn.Parameter) else repr(value.tolist())
        return "tensor", graph.tensors[node.name], constant
    dropout = (node.meta.get("custom") or {}).get("dropout")
    return node.op, str(node.target), repr(arguments), module_of(node), dropout

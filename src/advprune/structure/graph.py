"""The model as a graph of core ATen operators, by `torch.export`."""

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.fx import Node

from advprune.quiet import quiet
from advprune.structure.contract import answered, check_images
from advprune.structure.errors import UnsupportedOperatorError, cannot_export

BATCH = 2
"""The batch size that shapes are read at; the graph itself leaves it open.

An example of one would be specialised away, so every example is widened to two.
"""

_RESTING = {"training": False, "train": False, "use_input_stats": False, "dropout_p": 0.0}
"""What an operator is told in eval mode, by the name of its argument."""

_VIEWS = {f"aten.{name}.default" for name in ("view", "reshape", "_unsafe_view")}
_DROPOUTS = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")


@dataclass(frozen=True)
class Graph:
    """Nodes in execution order, and which of them are parameters or buffers of the model.

    Attributes:
        nodes: all nodes; `shape_of` gives the shape of a node's value. Where the model has a
            dropout, a clone stands with its operator and probability in
            `node.meta["custom"]["dropout"]`.
        tensors: qualified name of the parameter, buffer or constant, by node name.
        values: their values, by node name.
        training: nodes that run in train mode alone, in execution order, after the others.
        training_results: the nodes whose values the model gives in train mode, where they are
            others.
    """

    nodes: tuple[Node, ...]
    tensors: Mapping[str, str]
    values: Mapping[str, Tensor]
    training: tuple[Node, ...] = ()
    training_results: tuple[Node, ...] = ()


def export(model: nn.Module, example_input: Tensor) -> Graph:
    """Returns the model's graph in eval mode, for any batch size, leaving the model as it is.

    Linear layers stay whole (core ATen would split them into a transpose and a product).

    Args:
        model: any module of one image batch.
        example_input: (batch, channels, height, width), any batch size; only its shape, dtype and
            device matter.

    Raises:
        ValueError: the example is no batch of images, or the model does not run on one or does not
            give one tensor for it.
        UnsupportedModelError: `torch.export` refuses the model, or the size of a value depends on
            the images; says where in the user's code.
    """
    check_images(example_input)
    answered(model, _example(example_input))
    return graph_of(copy.deepcopy(model).eval(), example_input)


def graph_of(model: nn.Module, example_input: Tensor) -> Graph:
    """Returns `export` of the model itself, in the mode it is in.

    In train mode the graph's norms and dropouts do what they do in eval mode; it changes no buffer.
    """
    example = _example(example_input)
    with quiet():
        try:
            program = torch.export.export(
                model, (example,), dynamic_shapes=({0: torch.export.Dim.AUTO},)
            )
            if model.training:
                _rest(program.graph)
            _mark_dropouts(program.graph)
            table = torch.export.default_decompositions()
            del table[torch.ops.aten.linear.default]
            program = program.run_decompositions(table)
            if model.training:
                _give_only(program.graph, program.graph_signature.user_outputs)
        except Exception as error:
            raise cannot_export(model, example.shape[1:], error) from error
    _check_sizes(program.graph)
    _infer_batch(program.graph)
    signature = program.graph_signature
    tensors = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    known = {**program.state_dict, **program.constants}
    values = {node: known[name] for node, name in tensors.items()}
    return Graph(tuple(program.graph.nodes), tensors, values)


def _example(example_input: Tensor) -> Tensor:
    return example_input[:1].expand(BATCH, *example_input.shape[1:]).contiguous()


def shape_of(node: Node) -> torch.Size:
    """Returns the shape of the node's (first) value, at a batch of `BATCH`."""
    return torch.Size(_hints(node))


def _hints(node: Node) -> list[Any]:
    """Returns the sizes of the node's (first) value; None where they depend on the images."""
    value = node.meta["val"]
    sizes = (value[0] if isinstance(value, (tuple, list)) else value).shape
    return [size if isinstance(size, int) else size.node.hint for size in sizes]


def open_shape_of(node: Node) -> list[int | None]:
    """Returns the shape of the node's (first) value, None where the batch size decides."""
    value = node.meta["val"]
    sizes = (value[0] if isinstance(value, (tuple, list)) else value).shape
    fixed = [isinstance(size, int) or size.node.expr.is_number for size in sizes]
    return [n if known else None for n, known in zip(shape_of(node), fixed, strict=True)]


def _check_sizes(graph: torch.fx.Graph) -> None:
    """Raises where the size of a value is known only once the images are."""
    for node in graph.nodes:
        if holds_tensor(node) and None in _hints(node):
            raise refusal(node, "the size of what it gives depends on the images' values", "export")


def _infer_batch(graph: torch.fx.Graph) -> None:
    """Lets views infer the size that the batch decides, and name all others.

    It may be a product with a width, such as batch times heads, which changes when units are cut.
    """
    for node in graph.nodes:
        if str(node.target) in _VIEWS:
            sizes = open_shape_of(node)
            if sizes.count(None) == 1:
                node.args = (node.args[0], [-1 if size is None else size for size in sizes])
        elif str(node.target) == "aten.expand.default":
            node.args = (node.args[0], _kept_where_equal(node), *node.args[2:])
    graph.eliminate_dead_code()


def _kept_where_equal(node: Node) -> list[Any]:
    """Returns the sizes of an expand, -1 where the value is as large already."""
    source: Any = node.args[0]
    given: Any = node.args[1]
    new, old = node.meta["val"].shape, source.meta["val"].shape
    offset = len(given) - len(old)
    return [
        -1
        if isinstance(size, Node) and dim >= offset and str(new[dim]) == str(old[dim - offset])
        else size
        for dim, size in enumerate(given)
    ]


def holds_tensor(node: Node) -> bool:
    """Returns whether the node's (first) value is a tensor; a size, say, is none."""
    value = node.meta.get("val")
    return isinstance(value[0] if isinstance(value, (tuple, list)) and value else value, Tensor)


def results_of(output: Node) -> tuple[Node, ...]:
    """Returns the nodes whose values a graph gives, from its last node."""
    return tuple(result for result in output.args[0] if isinstance(result, Node))  # type: ignore[union-attr]


def module_of(node: Node) -> str:
    """Returns the qualified name of the module that calls the node's operator."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    name = str(stack[-1][0]) if stack else ""
    return "" if name.startswith("_empty_nn_module_stack") else name


def caller_of(node: Node) -> str:
    """Returns the module's first name; that of a second call has a number behind an @."""
    return module_of(node).partition("@")[0]


def place_of(node: Node) -> str:
    """Returns file and line of the call, as near to the user's code as is known."""
    lines = [line.strip() for line in (node.meta.get("stack_trace") or "").splitlines()]
    files = [line for line in lines if line.startswith("File ")]
    own = [line for line in files if "/torch/" not in line]
    return (own or files or [""])[-1]


def refusal(node: Node, reason: str, task: str = "prune through") -> UnsupportedOperatorError:
    """Returns the error that names the node's operator, module and place, and what failed."""
    where = (str(node.target), module_of(node), place_of(node))
    return UnsupportedOperatorError(*where, reason, task)


def _rest(graph: torch.fx.Graph) -> None:
    """Tells norms and dropouts what they are told in eval mode."""
    for node in graph.nodes:
        known = node.target._schema.arguments if isinstance(node.target, OpOverload) else ()  # noqa: SLF001 - torch names arguments nowhere else
        given = {one.name: value for one, value in zip(known, node.args, strict=False)}
        if given.get("running_mean", True) is not None:  # else it norms by the batch in any mode
            for name in given.keys() & _RESTING.keys():
                node.update_arg(list(given).index(name), _RESTING[name])


def _give_only(graph: torch.fx.Graph, names: Collection[Any]) -> None:
    """Leaves out of the results what is there to change buffers."""
    output = graph.output_node()
    output.args = (tuple(node for node in results_of(output) if node.name in names),)


def _mark_dropouts(graph: torch.fx.Graph) -> None:
    """Puts a marked clone for every dropout, which the decomposition would lose in eval mode."""
    for node in graph.nodes:
        name = getattr(node.target, "__name__", "").partition(".")[0]
        if node.op == "call_function" and name.rstrip("_") in _DROPOUTS and not node.args[2]:
            if name.endswith("_"):  # in place: what is read later has been dropped
                node.args[0].replace_all_uses_with(node, lambda user, own=node: user > own)
            mark = {"dropout": (f"aten.{name.rstrip('_')}.default", node.args[1])}
            node.meta["custom"] = {**node.meta.get("custom", {}), **mark}
            node.target, node.args = torch.ops.aten.clone.default, node.args[:1]

"""The model as a graph of core ATen operators, by `torch.export`."""

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.fx import Node

from advprune.structure.errors import UnsupportedModelError, UnsupportedOperatorError

BATCH = 2
"""Every graph is taken at this batch size: an example of one would be specialised away."""


@dataclass(frozen=True)
class Graph:
    """Nodes in execution order, and which of them are parameters or buffers of the model.

    Attributes:
        nodes: all nodes; `node.meta["val"]` holds a tensor of the value's shape.
        tensors: qualified name of the parameter or buffer, by node name.
        values: their values, by node name.
    """

    nodes: tuple[Node, ...]
    tensors: Mapping[str, str]
    values: Mapping[str, Tensor]


def export(model: nn.Module, example_input: Tensor) -> Graph:
    """Returns the model's graph in eval mode, leaving the model as it is.

    Linear layers stay whole (core ATen would split them into a transpose and a product).

    Args:
        model: any module of one image batch.
        example_input: (batch, channels, height, width), any batch size; only its shape, dtype and
            device matter.

    Raises:
        UnsupportedModelError: `torch.export` refuses the model; its words are kept.
    """
    example = example_input[:1].expand(BATCH, *example_input.shape[1:]).contiguous()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(copy.deepcopy(model).eval(), (example,))
            table = torch.export.default_decompositions()
            del table[torch.ops.aten.linear.default]
            program = program.run_decompositions(table)
        except Exception as error:
            raise UnsupportedModelError(
                f"torch.export cannot take {type(model).__name__} on an input of shape "
                f"{tuple(example.shape)}: {error}"
            ) from error
    signature = program.graph_signature
    tensors = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    known = {**program.state_dict, **program.constants}
    values = {node: known[name] for node, name in tensors.items()}
    return Graph(tuple(program.graph.nodes), tensors, values)


def module_of(node: Node) -> str:
    """Returns the qualified name of the module that calls the node's operator."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def place_of(node: Node) -> str:
    """Returns file and line of the call, as near to the user's code as is known."""
    lines = [line.strip() for line in (node.meta.get("stack_trace") or "").splitlines()]
    files = [line for line in lines if line.startswith("File ")]
    own = [line for line in files if "/torch/" not in line]
    return (own or files or [""])[-1]


def refusal(node: Node, reason: str) -> UnsupportedOperatorError:
    """Returns the error that names the node's operator, module and place."""
    return UnsupportedOperatorError(str(node.target), module_of(node), place_of(node), reason)

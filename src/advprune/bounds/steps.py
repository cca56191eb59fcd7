"""From an exported graph to the affine maps and ReLUs that bounds run through."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from advprune.bounds.operators import Affine, Relu, Step, Term
from advprune.structure.graph import Graph, holds_tensor, refusal, shape_of

IMAGE = "image"
"""Name of the value that the network reads."""


class Binding:
    """The steps of a graph with present weights, while they are put together.

    Args:
        graph: what `structure.graph.export` gave.
        tensors: present parameters and buffers by qualified name.
        factors: what multiplies the inputs of gated layers, (examples or 1, inputs), by layer name.
    """

    def __init__(
        self, graph: Graph, tensors: Mapping[str, Tensor], factors: Mapping[str, Tensor]
    ) -> None:
        self.steps: list[Step] = []
        self._graph, self._tensors, self._factors = graph, tensors, factors
        self._values: dict[Node, str] = {}
        self._constants: dict[Node, Any] = {}

    def constant(self, argument: Any) -> Any:
        """Returns an argument that no image decides on, as tensor, number or None."""
        return self._constants[argument] if isinstance(argument, Node) else argument

    def is_value(self, argument: Any) -> bool:
        """Whether an argument is computed from the image."""
        return isinstance(argument, Node) and argument in self._values

    def name(self, node: Node, argument: Any) -> str:
        """Returns the name of a value that a node reads.

        Raises:
            UnsupportedOperatorError: the argument is none.
        """
        if not self.is_value(argument):
            raise refused(node, "its input is no value computed from the image")
        return self._values[argument]

    def add(self, node: Node, operator: Affine | Relu, *inputs: str, part: str = "") -> str:
        """Appends a step and returns its name, which the node's value gets with the last one."""
        name = f"{node.name}{part}"
        self.steps.append(Step(name, inputs, operator))
        self._values[node] = name
        return name

    def replace_last(self, step: Step) -> None:
        """Puts a step of the same name in place of the last one."""
        self.steps[-1] = step

    def alias(self, node: Node, name: str) -> None:
        """Lets a node stand for a value that is there already."""
        self._values[node] = name

    def factor(self, node: Node) -> Tensor | None:
        """Returns what the gates multiply the node's input by, or None."""
        weight = node.args[1]
        owner = self._graph.tensors.get(weight.name, "") if isinstance(weight, Node) else ""
        return self._factors.get(owner.rpartition(".")[0])

    def run(self) -> tuple[tuple[Step, ...], str]:
        """Returns the steps in order and the name of the logits."""
        for node in self._graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node)
            elif node.op == "output":
                (logits,) = node.all_input_nodes
                return tuple(self.steps), self.name(node, logits)
            elif any(self.is_value(source) for source in node.all_input_nodes):
                if holds_tensor(node):  # a size is none: rules take shapes from the graph
                    self._apply(node)
            else:
                self._constants[node] = self._computed(node)
        raise AssertionError("a graph ends with its output")

    def _placeholder(self, node: Node) -> None:
        if node.name in self._graph.tensors:
            self._constants[node] = self._tensors[self._graph.tensors[node.name]]
        else:
            self._values[node] = IMAGE

    def _apply(self, node: Node) -> None:
        known = RULES.get(str(node.target))
        if known is None:
            raise refused(node, "no rule says how bounds pass through it")
        known(self, node)

    def _computed(self, node: Node) -> Any:
        """Whatever is computed from parameters alone, with their gradient."""
        if any(source not in self._constants for source in node.all_input_nodes):
            raise refused(node, "it depends on the size of the batch")
        target: Any = node.target
        args = torch.fx.map_arg(node.args, lambda source: self._constants[source])
        kwargs = torch.fx.map_arg(node.kwargs, lambda source: self._constants[source])
        return target(*args, **kwargs)


Rule = Callable[[Binding, Node], None]
RULES: dict[str, Rule] = {}


def rule(*operators: str) -> Callable[[Rule], Rule]:
    """Registers the rule of one or more operators."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(operators, function))
        return function

    return register


def refused(node: Node, reason: str) -> Exception:
    """Returns the error that names the operator that cannot be bounded, its module and place."""
    return refusal(node, reason, task="bound")


def input_shape(node: Node, argument: int = 0) -> torch.Size:
    """Returns the shape of a value that the node reads, without the batch."""
    source = node.args[argument]
    assert isinstance(source, Node)
    return shape_of(source)[1:]


def monotone(apply: Callable[[Tensor], Tensor], shape: torch.Size) -> Term:
    """Returns the term of a linear map without negative entries, its transpose by autograd.

    Args:
        apply: the map, (n, *in) to (n, *out).
        shape: *in.
    """

    def transpose(coefficients: Tensor) -> Tensor:
        flat = coefficients.flatten(0, 1)
        pull: Any = torch.func.vjp(apply, flat.new_zeros(len(flat), *shape))[1]
        (back,) = pull(flat)
        return torch.as_tensor(back).view(*coefficients.shape[:2], *shape)

    return Term(apply, apply, transpose)


def scaling(factor: Tensor | float) -> Term:
    """Returns the term that multiplies each element.

    Args:
        factor: a number, or (examples or 1, *shape) against which values broadcast.
    """
    if not isinstance(factor, Tensor):
        size = abs(factor)
        return Term(lambda x: x * factor, lambda x: x * size, lambda a: a * factor)
    size_, rows = factor.abs(), factor.unsqueeze(1)
    return Term(lambda x: x * factor, lambda x: x * size_, lambda a: a * rows)

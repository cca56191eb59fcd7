"""One operator at a time, on labels written by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx import Graph as Nodes
from torch.fx import Node

import advprune.structure.rules  # noqa: F401 - registers the rules
from advprune.structure.flow import RULES, Flow
from advprune.structure.graph import Graph


class Bench:
    """A graph of one operator, made of values whose labels are given.

    Units are numbered from 1, as many as asked for; 0 stays.
    """

    def __init__(self, units: int = 12) -> None:
        self.nodes = Nodes()
        self.model = nn.Module()
        self.flow = Flow(Graph((), {}, {}), self.model)
        self.flow.units.fresh("maker", units)

    def value(self, shape: tuple[int, ...], **units: list[int]) -> Node:
        """Adds a value computed from the image, whose units vary along one dimension.

        Args:
            shape: of the value.
            **units: ids by `dim1`, `dim2` …
        """
        ((dim, ids),) = units.items()
        labels = torch.tensor(ids).view([-1 if f"dim{d}" == dim else 1 for d in range(len(shape))])
        return self.grid(shape, labels)

    def grid(self, shape: tuple[int, ...], labels: Tensor) -> Node:
        """Adds a value computed from the image, with these labels."""
        node = self._placeholder(shape)
        self.flow.labels[node] = labels
        return node

    def parameter(self, name: str, *shape: int) -> Node:
        """Adds a parameter of the model's."""
        node = self._placeholder(shape)
        self.flow.graph.tensors[node.name] = name  # type: ignore[index]
        return node

    def constant(self, value: Tensor) -> Node:
        """Adds a tensor whose value is known."""
        node = self._placeholder(tuple(value.shape))
        node.meta["val"] = value.to("meta")
        self.flow.graph.values[node.name] = value  # type: ignore[index]
        return node

    def run(self, operator: Callable[..., Any], *args: Any) -> Any:
        """Applies an operator; returns the labels of its value, each by the id of its set."""
        node = self.nodes.call_function(operator, args)
        node.meta["val"] = operator(*_meta(args))
        self.flow.labels[node] = RULES[str(operator)](self.flow, node)
        labels = self.flow.labels[node]
        roots = self.flow.units.roots
        return (
            roots(labels).tolist()
            if isinstance(labels, Tensor)
            else [roots(part).tolist() for part in labels]
        )

    def now(self, node: Node) -> Any:
        """Returns a value's labels as they are by now."""
        return self.flow.units.roots(self.flow.of(node)).tolist()

    def _placeholder(self, shape: tuple[int, ...]) -> Node:
        node = self.nodes.placeholder("x")
        node.meta["val"] = torch.empty(shape, device="meta")
        return node


def _meta(argument: Any) -> Any:
    if isinstance(argument, Node):
        return argument.meta["val"]
    if isinstance(argument, (list, tuple)):
        return [_meta(item) for item in argument]
    return argument


@pytest.fixture
def bench() -> Bench:
    return Bench()

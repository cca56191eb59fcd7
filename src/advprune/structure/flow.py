"""Units on their way through a graph, and the rules of operators, looked up by name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from advprune.structure.graph import (
    Graph,
    caller_of,
    holds_tensor,
    module_of,
    place_of,
    shape_of,
)
from advprune.structure.labels import FIXED, Units, broadcast, compact, varying
from advprune.structure.network import GraphNetwork
from advprune.structure.parts import Reading

Labels = Tensor | list[Tensor]
"""Labels of a node's value, or of its values where the operator gives several."""


@dataclass
class Flow:
    """What is known of a graph's units so far.

    Attributes:
        graph: the graph that is walked.
        model: the network whose modules run when it does.
        units: all units met so far.
        labels: by node; what holds no units yet (parameters, constants) is missing.
        slices: by parameter name and dimension, the units along it.
        readings: by layer name.
        counts: by qualified name of a module's attribute, the units that it counts.
        grids: labels of what lies inside an operator and must stay a box, beside all values.
        choosing: by reason, the units that arrive at a layer which reads some of them only.
        hidden: layers that no gate can sit on, since the class does not call them as they are.
    """

    graph: Graph
    model: nn.Module
    units: Units = field(default_factory=Units)
    labels: dict[Node, Labels] = field(default_factory=dict)
    slices: dict[str, dict[int, Tensor]] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    counts: dict[str, Tensor] = field(default_factory=dict)
    grids: list[tuple[Node, Tensor]] = field(default_factory=list)
    choosing: dict[str, Tensor] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)

    def of(self, source: Any) -> Tensor:
        """Returns the labels of a node's value; a parameter or constant gets units of its own."""
        if source not in self.labels:
            self.labels[source] = self._own(source)
        labels = self.labels[source]
        return labels if isinstance(labels, Tensor) else labels[0]

    def present(self, source: Any) -> Tensor:
        """Returns the labels of a node's value, each unit by the id of its tied set."""
        return compact(self.units.roots(self.of(source)))

    def full(self, source: Any) -> Tensor:
        """Returns the labels of every element of a node's value."""
        return self.of(source).expand(shape_of(source))

    def meet(self, node: Node, *sources: Any) -> Tensor:
        """Ties what meets elementwise, broadcast; returns the labels of the result.

        A value that always stays, or one unit alone, meets others freely where it is one element
        wide; where it is wider, they are tied along it. One unit that reaches several others stays.
        """
        rank = len(shape_of(node))
        met = [self._aligned(source, rank) for source in sources if is_tensor(source)]
        live = {dim for labels, _ in met for dim in varying(labels)}
        wide, along = [], set()
        for labels, sizes in met:
            reached = {dim for dim in live if sizes[dim] > 1}
            if reached and reached != live and bool((labels == FIXED).all()):
                along |= reached
            elif reached or (not live and max(sizes, default=1) > 1):
                wide.append(labels)
            elif live:
                self.units.freeze(labels, f"{said(node)} spreads its outputs over other channels")
        result = wide[0] if wide else fixed(node)
        for labels in wide[1:]:
            self.units.tie(result, labels, joins(node))
            result = broadcast(result, labels)
        return compact(self.merge(node, result, sorted(along)))

    def merge(self, node: Node, labels: Tensor, dims: Sequence[int]) -> Tensor:
        """Ties what an operator mixes along dimensions; returns labels of size 1 there."""
        return self.units.merge(
            labels, [dim % labels.dim() for dim in dims], f"{said(node)} mixes its outputs"
        )

    def freeze(self, node: Node, *sources: Any, reason: str) -> Tensor:
        """Leaves whole all units of some values; returns labels of the node's value: it stays."""
        for source in filter(is_tensor, sources):
            self.units.freeze(self.of(source), f"{said(node)} {reason}")
        return fixed(node)

    def slice(self, source: Any, dims: Mapping[int, Tensor]) -> None:
        """Notes the units along dimensions of a parameter; those of two uses are tied."""
        name = self.parameter(source) or ""
        known = self.slices.setdefault(name, {})
        for dim, ids in dims.items():
            if dim in known:
                self.units.tie(known[dim], ids, f"'{name}' is used for what stays, too")
            known[dim] = ids

    def count(self, name: str, ids: Tensor) -> None:
        """Notes the units that a module's attribute counts, if the module has such a one."""
        name = name.removeprefix(".")  # of the model itself
        module, _, attribute = name.rpartition(".")
        if hasattr(self.model.get_submodule(module), attribute):
            self.units.tie(self.counts.setdefault(name, ids), ids)

    def note(self, node: Node, weight: Any, reading: Reading) -> None:
        """Notes a layer; one that runs twice has its units tied and its work added up."""
        name = self.layer(node, weight)
        before = self.readings.get(name)
        if before is not None:
            for one, other in (
                (before.outputs, reading.outputs),
                (before.arriving, reading.arriving),
            ):
                self.units.tie(one, other, f"'{name}' reads or makes what stays, too")
            reading = replace(reading, pair_macs=before.pair_macs + reading.pair_macs)
        self.readings[name] = replace(reading, parameter=self.parameter(weight) or "")

    def parameter(self, source: Any) -> str | None:
        """Returns the qualified name of a parameter or buffer, None for a computed value."""
        return self.graph.tensors.get(source.name) if isinstance(source, Node) else None

    def layer(self, node: Node, weight: Any) -> str:
        """Returns the name of a layer: its module's, or its weight's where that is not called."""
        name = self.parameter(weight)
        if name is None or self.is_called(node, weight):
            return self._module(node, weight)
        return name.removesuffix(".weight")

    def is_called(self, node: Node, weight: Any) -> bool:
        """Whether the layer runs as a module that holds this weight, and no other beside it."""
        name = self.parameter(weight)
        if name is None:
            return False
        module = self.model.get_submodule(self._module(node, weight))
        own = [value for value in module.parameters() if value.dim() > 1]
        held = dict(self.model.named_parameters(remove_duplicate=False)).get(name)
        alone = len(own) == 1 and own[0] is held and not list(module.children())
        return alone and type(module) is not nn.Module

    def entering(self, node: Node, x: Any) -> Any:
        """Returns the value that the layer's module is given, from which it makes what it reads."""
        inside = module_of(node)
        while x.args and is_tensor(x.args[0]) and module_of(x) == inside and not self.rebuilt:
            x = x.args[0]
        return x

    @property
    def rebuilt(self) -> bool:
        """Returns whether the network runs the graph itself, step by step."""
        return isinstance(self.model, GraphNetwork)

    def _module(self, node: Node, weight: Any) -> str:
        """Returns the module that runs a layer; a network of a graph calls the weight's owner."""
        name = self.parameter(weight)
        if name is not None and self.rebuilt:
            return name.rpartition(".")[0]
        return caller_of(node)

    def values(self) -> Iterator[Tensor]:
        """Returns the labels of every value."""
        for value in self.labels.values():
            yield from value if isinstance(value, list) else [value]

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Returns the labels of each parameter and buffer that is used elementwise, by its name."""
        for node, labels in self.labels.items():
            if node.name in self.graph.tensors and isinstance(labels, Tensor):
                yield self.graph.tensors[node.name], labels

    def constant(self, source: Any) -> Tensor | None:
        """Returns the value of what does not depend on the image, None for what does."""
        if source.name in self.graph.values:
            return self.graph.values[source.name]
        if source.op != "call_function":
            return None
        try:
            value = source.target(*self._constants(source.args), **self._constants(source.kwargs))
        except LookupError:
            return None
        return value if isinstance(value, Tensor) else None

    def _constants(self, argument: Any) -> Any:
        if isinstance(argument, Mapping):
            return {name: self._constants(item) for name, item in argument.items()}
        if isinstance(argument, (list, tuple)):
            return [self._constants(item) for item in argument]
        if not is_tensor(argument):
            return value_of(argument)
        if (known := self.constant(argument)) is None:
            raise LookupError(argument.name)
        return known

    def _aligned(self, source: Node, rank: int) -> tuple[Tensor, list[int]]:
        labels, sizes = self.present(source), list(shape_of(source))
        missing = rank - len(sizes)
        return labels.view([1] * missing + list(labels.shape)), [1] * missing + sizes

    def _own(self, source: Node) -> Labels:
        """Labels of a value that is not computed from the image: a unit an element."""
        if source.op == "placeholder" or str(source.target) in CONSTANT:
            shape = shape_of(source)
            return (
                self.units.fresh("", shape.numel()).view(shape)
                if shape.numel() > 1
                else fixed(source)
            )
        known = RULES.get(str(source.target))
        if known is None:
            return self.freeze(source, *source.all_input_nodes, reason="has no rule")
        return known(self, source)


Rule = Callable[[Flow, Node], Labels]
RULES: dict[str, Rule] = {}
CONSTANT = {f"aten.{made}.default" for made in ("full", "full_like", "zeros_like", "ones_like")}
"""Operators whose value is the same everywhere, so that it can be made at any size."""


def rule(*operators: str) -> Callable[[Rule], Rule]:
    """Registers the rule of one or more operators."""

    def register(function: Rule) -> Rule:
        for name in operators:
            assert name not in RULES, name
            RULES[name] = function
        return function

    return register


def fixed(node: Node) -> Tensor:
    """Returns labels that say that all of the node's (first) value stays."""
    return torch.full([1] * len(shape_of(node)), FIXED)


def said(node: Node) -> str:
    """Returns the words that name an operator and the module that calls it, or the line."""
    packet = str(node.target).removeprefix("aten.").partition(".")[0]
    module = caller_of(node)
    at = f" in '{module}'" if module else f" at {place_of(node)}"
    return f"{packet}{at}"


def joins(node: Node) -> str:
    """Returns the reason why a unit stays that meets, at this node, what stays."""
    return f"{said(node)} joins its outputs to what stays"


def value_of(argument: Any) -> Any:
    """Returns an argument with sizes in place of the nodes that compute them; tensors stay."""
    if isinstance(argument, (list, tuple)):
        return [value_of(item) for item in argument]
    value = argument.meta.get("val") if isinstance(argument, Node) else argument
    if isinstance(value, torch.SymInt):
        return value.node.hint
    return argument if isinstance(value, Tensor) or value is None else value


def is_tensor(source: Any) -> bool:
    """Returns whether an argument is a node with a tensor."""
    return isinstance(source, Node) and holds_tensor(source)

"""From an exported graph to plain data."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.fx import Node
from torch.nn.modules.batchnorm import _BatchNorm

from advprune.structure.errors import UnsupportedModelError
from advprune.structure.graph import (
    Graph,
    holds_tensor,
    module_of,
    open_shape_of,
    refusal,
    results_of,
)
from advprune.structure.operators import BATCH_NORM, name_of, operator_of
from advprune.structure.program import Held, Program, Step
from advprune.structure.resize import tensors_of

_BATCH_NORM_IN_EVAL = "aten._native_batch_norm_legit_no_training.default"
_CHECKS = ("_assert", "sym_constrain", "_check")
_DROPPED = ("layout", "pin_memory", "non_blocking")


def program_of(graph: Graph, model: nn.Module) -> Program:
    """Returns a graph as plain data; what train mode alone runs is left out if it cannot be told.

    Args:
        graph: the model's, from `graph.export`.
        model: says which tensors are parameters, trained, shared, or not in the state dict.

    Raises:
        UnsupportedModelError: an operator that is not known, by name and place, a batch size that
            the graph does not leave open, or more than one output.
    """
    try:
        return _Writer(graph, model).written()
    except UnsupportedModelError:
        if not graph.training:
            raise
        return _Writer(replace(graph, training=(), training_results=()), model).written()


def held_tensors(graph: Graph, model: nn.Module) -> dict[str, Tensor]:
    """Returns everything that the network holds, by qualified name, constants too."""
    constants = {name: graph.values[node] for node, name in graph.tensors.items()}
    return {**constants, **tensors_of(model)}


class _Writer:
    """Writes a graph's nodes as steps."""

    def __init__(self, graph: Graph, model: nn.Module) -> None:
        self._graph = graph
        self._model = model
        self._modules = dict(model.named_modules(remove_duplicate=False))
        self._reference: dict[Node, dict[str, Any]] = {}
        self._dtype: torch.dtype | None = None

    def written(self) -> Program:
        steps, output = [], ""
        for node in (*self._graph.nodes, *self._graph.training):
            if node.op == "placeholder":
                self._reference[node] = self._placeholder(node)
            elif node.op == "output":
                output = self._output(results_of(node))
            elif not _skipped(node) and not self._is_choice_of_batch_norm(node):
                steps.append(self._step(node))
                self._reference[node] = {"step": node.name}
        trained = self._outputs(self._graph.training_results)
        return Program(
            steps=steps, output=output, tensors=self._tensors(), training_outputs=trained
        )

    def _placeholder(self, node: Node) -> dict[str, Any]:
        if node.name in self._graph.tensors:
            return {"tensor": self._graph.tensors[node.name]}
        if open_shape_of(node)[0] is not None:
            raise UnsupportedModelError("the model works for one batch size only")
        self._dtype = node.meta["val"].dtype
        return {"input": 0}

    def _output(self, results: Sequence[Node]) -> str:
        if len(results) != 1:
            raise UnsupportedModelError("the model's output is not one tensor")
        return self._outputs(results)[0]

    def _outputs(self, results: Iterable[Node]) -> list[str]:
        references = [self._reference[result] for result in results]
        if any("step" not in reference for reference in references):
            raise UnsupportedModelError("the model gives out what it was given")
        return [str(reference["step"]) for reference in references]

    def _is_choice_of_batch_norm(self, node: Node) -> bool:
        """Whether the node picks a result of a batch norm, whose step gives one alone."""
        source = node.args[0] if node.args else None
        if not (isinstance(source, Node) and str(source.target) == _BATCH_NORM_IN_EVAL):
            return False
        self._reference[node] = self._reference[source]
        return True

    def _step(self, node: Node) -> Step:
        operator, arguments = name_of(node.target), list(node.args)
        module = self._module(node)
        encoded = [self._encoded(argument) for argument in arguments]
        dropout = (node.meta.get("custom") or {}).get("dropout")
        if dropout:
            operator, encoded = dropout[0], [encoded[0], dropout[1], {"training": module}]
        if operator == _BATCH_NORM_IN_EVAL:
            operator = BATCH_NORM
            encoded = [*encoded[:5], {"training": module}, self._momentum(node), encoded[6], False]
        try:
            operator_of(operator)
        except ValueError as error:
            raise refusal(node, "a stored graph may not use it", "store") from error
        keywords = {
            key: self._encoded(value) for key, value in node.kwargs.items() if key not in _DROPPED
        }
        return Step(
            name=node.name,
            operator=operator,
            arguments=encoded,
            keywords=keywords,
            module=module,
            shape=open_shape_of(node) if holds_tensor(node) else None,
        )

    def _module(self, node: Node) -> str:
        """The calling module's first name; a second call's has a number behind an @."""
        name = module_of(node).partition("@")[0]
        return name if name in self._modules else ""

    def _momentum(self, node: Node) -> float | None:
        """A layer that averages over all batches has none, which its graph does not tell."""
        layer = self._modules[self._module(node)]
        return layer.momentum if isinstance(layer, _BatchNorm) else float(str(node.args[5]))

    def _encoded(self, value: Any) -> Any:
        if isinstance(value, Node):
            return self._reference[value]
        if isinstance(value, (list, tuple)):
            return [self._encoded(item) for item in value]
        if isinstance(value, torch.dtype):
            kept = str(value).removeprefix("torch.")
            return {"dtype": "input" if value == self._dtype else kept}
        if isinstance(value, torch.device):
            return {"device": "input"}
        if isinstance(value, torch.memory_format):
            return {"memory_format": str(value).removeprefix("torch.")}
        if isinstance(value, float) and not math.isfinite(value):
            return {"number": str(value)}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise UnsupportedModelError(f"the graph has an argument of type {type(value).__name__}")

    def _tensors(self) -> dict[str, Held]:
        stored = self._model.state_dict().keys()
        first: dict[int, str] = {}
        held = {}
        for name, tensor in held_tensors(self._graph, self._model).items():
            same = first.setdefault(id(tensor), name)
            parameter = isinstance(tensor, nn.Parameter)
            kind: Literal["parameter", "buffer", "constant"] = (
                "parameter" if parameter else "buffer" if name in stored else "constant"
            )
            held[name] = Held(
                kind=kind,
                trained=parameter and tensor.requires_grad,
                same_as=None if same == name else same,
            )
        return held


def _skipped(node: Node) -> bool:
    return any(check in str(node.target) for check in _CHECKS)

"""A model as bounds see it."""

import copy
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from advprune.bounds import pooling, rules  # noqa: F401 - registers what they know
from advprune.bounds.operators import Relu, Step
from advprune.bounds.steps import Binding
from advprune.gates import GatedModel
from advprune.gates.gated import drop_gates
from advprune.structure.graph import Graph, export
from advprune.structure.resize import tensors_of
from advprune.structure.writing import held_tensors


@dataclass(frozen=True, eq=False)
class Network:
    """A model with its present weights as affine maps and ReLUs, in execution order.

    Attributes:
        steps: the operators; each reads earlier values or `steps.IMAGE`.
        output: name of the logits.
    """

    steps: tuple[Step, ...]
    output: str

    @property
    def relus(self) -> tuple[Step, ...]:
        """Returns the steps that are not affine, in order."""
        return tuple(step for step in self.steps if isinstance(step.operator, Relu))


def network(
    model: nn.Module,
    example: Tensor,
    gates: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Network:
    """Returns a model with its present weights, in eval mode, with gradient in the weights.

    Batch norm stands there with its running statistics. The graph is exported once a model and
    shape; steps share the model's tensors, so take a new network after every change of them.

    Args:
        model: plain or gated.
        example: (batch, channels, height, width), any batch size.
        gates: of a gated model, (examples or 1, all units): what stands for each gate; by default
            the expected values.
        dtype: of the bounds; the model's tensors are cast to it.

    Raises:
        UnsupportedModelError: the model cannot be exported.
        UnsupportedOperatorError: an operator without a rule, by name and place.
        ValueError: gates that depend on the input, which no affine map bounds.
    """
    if isinstance(model, GatedModel) and model.depends_on_input:
        raise ValueError("gates that depend on the input have no bounds; allowed are all others")
    plain = model.model if isinstance(model, GatedModel) else model
    graph = _graph(plain, example)
    tensors = {
        name: value.to(dtype) if value.is_floating_point() else value
        for name, value in held_tensors(graph, plain).items()
    }
    factors: dict[str, Tensor] = {}
    if isinstance(model, GatedModel):
        values = model.expected().unsqueeze(0) if gates is None else gates
        values = values.to(dtype)
        values = torch.cat([values, values.new_ones(len(values), 1)], dim=1)
        factors = {
            name: layer.gates(values) for name, layer in model.structure.gated_layers.items()
        }
    steps, output = Binding(graph, tensors, factors).run()
    return Network(steps, output)


Shapes = tuple[tuple[str, torch.Size], ...]
_GRAPHS: WeakKeyDictionary[nn.Module, tuple[Shapes, Graph]] = WeakKeyDictionary()


def _graph(model: nn.Module, example: Tensor) -> Graph:
    own = tensors_of(model)
    shapes = (("", example.shape[1:]), *((name, value.shape) for name, value in own.items()))
    known = _GRAPHS.get(model)
    if known is None or known[0] != shapes:
        bare = copy.deepcopy(model)
        drop_gates(bare)
        known = (shapes, export(bare, example))
        _GRAPHS[model] = known
    return known[1]

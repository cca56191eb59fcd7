"""A network that runs a stored graph: a plain module, to train, copy and cut like any other."""

import copy
import warnings
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from advprune.models.modes import evaluating
from advprune.structure.calls import calls, tensor_of
from advprune.structure.graph import Graph
from advprune.structure.layers import layers
from advprune.structure.parity import mismatch
from advprune.structure.program import Program
from advprune.structure.training import export_both
from advprune.structure.writing import held_tensors, program_of

_TRAINED = 8
"""Images of the training pass that is compared: batch norm over fewer magnifies rounding."""


class GraphNetwork(nn.Module):
    """A network given by its graph instead of a class.

    Parameters and buffers have the names they have in the user's model. Convolutions, linear layers
    and batch norms are torch's own layers at their old places, so hooks on them work; every other
    module is an empty one, which states whether it trains: dropout and batch norm follow it. What
    runs in train mode alone, such as an auxiliary head, follows the network's own mode.

    Attributes:
        graph_program: the graph as plain data.
    """

    def __init__(self, program: Program, tensors: Mapping[str, Tensor]) -> None:
        """Builds the network.

        Args:
            program: the graph.
            tensors: by qualified name, of whatever shapes the graph works with; constants too.
                They are held as they are, not copied.

        Raises:
            ValueError: a tensor is missing or too many, or a module has an impossible name.
        """
        super().__init__()
        if wrong := program.tensors.keys() ^ tensors.keys():
            raise ValueError(f"the graph's tensors and those given differ in {sorted(wrong)}")
        made = layers(program, tensors)
        self._run(program, made)
        self._place_modules(made)
        self._place_tensors(tensors)

    def forward(self, x: Tensor) -> Any:
        """Returns what the graph gives for images (batch, channels, height, width).

        That is one tensor, and several in a tuple where train mode gives more.
        """
        values: dict[str, Any] = {}
        for call in self.graph_calls[self.training]:
            values[call.name] = call.run(self, values, x)
            for name in call.forget:
                del values[name]
        results = tuple(values[name] for name in self.graph_program.outputs(self.training))
        return results[0] if len(results) == 1 else results

    def held(self) -> dict[str, Tensor]:
        """Returns the tensors by name, as `GraphNetwork` takes them: constants too, no copies."""
        return {name: tensor_of(self, name) for name in self.graph_program.tensors}

    def rewrite(self, sizes: Mapping[str, Mapping[tuple[int, int | None], int]]) -> None:
        """Puts other widths into the graph, in place, once its tensors have other shapes.

        Args:
            sizes: by step, the new number by position of the argument and, in a list, in it.
        """
        program = self.graph_program
        steps = {step.name: step for step in program.steps}
        changes: dict[str, dict[int, Any]] = {}
        for name, places in sizes.items():
            for (position, index), size in places.items():
                change = changes.setdefault(name, {})
                old = change.get(position, steps[name].arguments[position])
                change[position] = (
                    size if index is None else [*old[:index], size, *old[index + 1 :]]
                )
        made = [name for name, part in self.named_modules() if type(part) is not nn.Module and name]
        self._run(program.rewritten(changes), made)

    def _run(self, program: Program, made: Collection[str]) -> None:
        self.graph_program = program
        self.graph_calls = {mode: calls(program, made, mode) for mode in (False, True)}

    def _place_modules(self, made: Mapping[str, nn.Module]) -> None:
        owners = [name.rpartition(".")[0] for name in self.graph_program.tensors]
        callers = [step.module for step in self.graph_program.steps]
        for path in filter(None, dict.fromkeys([*owners, *callers])):
            room: nn.Module = self
            parts = path.split(".")
            for depth, name in enumerate(parts, start=1):
                if name not in dict(room.named_children()):
                    _add(room, name, made.get(".".join(parts[:depth]), nn.Module()), path)
                room = room.get_submodule(name)

    def _place_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        for name, held in self.graph_program.tensors.items():
            owner, _, attribute = name.rpartition(".")
            room = self.get_submodule(owner)
            value = tensors[name] if held.same_as is None else tensor_of(self, held.same_as)
            if held.kind != "parameter":
                room.register_buffer(attribute, value, persistent=held.kind == "buffer")
            elif isinstance(value, nn.Parameter):
                room.register_parameter(attribute, value)
            else:
                room.register_parameter(attribute, nn.Parameter(value, held.trained))


def _add(room: nn.Module, name: str, module: nn.Module, path: str) -> None:
    try:
        room.add_module(name, module)
    except KeyError as error:
        raise ValueError(f"no module can be called {path!r}: {error}") from error


def graph_network(model: nn.Module, example_input: Tensor) -> GraphNetwork:
    """Returns a network that runs a model's graph, with copies of its tensors, proven equal.

    In eval mode the answers are compared; in train mode the answers and the batch norms'
    statistics, with equal random numbers: where they differ (stochastic depth and attention's
    dropout are not in the graph) a warning says so, since the network can still be used.

    Args:
        model: any module that `torch.export` takes; it is left as it is.
        example_input: (batch, channels, height, width), any batch size.

    Raises:
        UnsupportedModelError: the model cannot be exported, or uses an operator not on the list.
        ValueError: the graph does not compute what the model does.
    """
    return network_of(export_both(model, example_input), model, example_input)


def network_of(graph: Graph, model: nn.Module, example_input: Tensor) -> GraphNetwork:
    """Returns `graph_network` of a model whose graph is at hand."""
    network = twin_of(graph, model, example_input)
    found = difference_in_training(model, network, example_input)
    if found is not None:
        warnings.warn(
            f"in train mode the graph of {type(model).__name__} is not the model: {found}",
            stacklevel=2,
        )
    return network


def twin_of(graph: Graph, model: nn.Module, example_input: Tensor) -> GraphNetwork:
    """Returns `network_of` without a word on train mode."""
    tensors = {name: value.detach().clone() for name, value in held_tensors(graph, model).items()}
    network = GraphNetwork(program_of(graph, model), tensors)
    with evaluating(model), evaluating(network), torch.no_grad():
        found = mismatch(network, example_input, model(example_input))
    if found is not None:
        raise ValueError(f"the graph of {type(model).__name__} computes something else: {found}")
    _take_modes(network, model)
    return network


def _take_modes(network: nn.Module, model: nn.Module) -> None:
    modes = {name: part.training for name, part in model.named_modules(remove_duplicate=False)}
    for name, part in network.named_modules(remove_duplicate=False):
        part.training = modes.get(name, model.training)


@torch.no_grad()
def difference_in_training(
    model: nn.Module, network: nn.Module, example_input: Tensor
) -> str | None:
    """Returns how one training pass with equal random numbers differs, None where it does not."""
    shape = (_TRAINED, *example_input.shape[1:])
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(example_input)
    original, twin = copy.deepcopy(model).train(), copy.deepcopy(network).train()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            expected, drawn = original(x), torch.get_rng_state()
            torch.manual_seed(0)
            found = mismatch(twin, x, expected)
            if found is None and not torch.equal(drawn, torch.get_rng_state()):
                found = "the model draws other random numbers"
    except Exception as error:
        return f"a pass fails ({error})"
    return found or _first_other_buffer(original, twin)


def _first_other_buffer(original: nn.Module, twin: nn.Module) -> str | None:
    found = dict(twin.named_buffers())
    for name, buffer in original.named_buffers():
        if name in found and not torch.allclose(found[name], buffer, rtol=1e-4, atol=1e-6):
            return f"its buffer {name!r} becomes another"
    return None

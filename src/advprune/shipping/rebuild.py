"""A network built anew and given the tensors of a smaller one."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from advprune.models import build
from advprune.shipping.manifest import Architecture
from advprune.structure import GraphNetwork, SelectedLinear
from advprune.structure.input_gate import NAME, InputGate, attach, key_of
from advprune.structure.program import Program
from advprune.structure.resize import names_of, replace_tensor, tensors_of


def rebuild(architecture: Architecture, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Build a network and give it saved tensors, of whatever shapes they are.

    Args:
        architecture: How the network was built, and which of its layers select their inputs.
        tensors: The saved tensors by name.

    Returns:
        The network in evaluation mode, carrying its `architecture`.

    Raises:
        ValueError: If network and tensors do not belong together.
    """
    model = build(architecture.name, **architecture.arguments)
    for name, index in architecture.selected.items():
        _select(model, name, index)
    if architecture.input_gates:
        _gate(model, architecture.input_gates, tensors)
    _check_names(model, tensors)
    _count(model, architecture.counts)
    own, ties = model.state_dict(), names_of(tensors_of(model))
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            replace_tensor(model, name, tensor)
    model.load_state_dict(tensors, assign=True)
    for name, (first, *_) in ties.items():
        if name != first:
            replace_tensor(model, name, tensors_of(model)[first])
    model.architecture = architecture.plain()  # type: ignore[assignment]  # torch: tensors only
    return model.eval()


def from_graph(text: bytes, tensors: Mapping[str, Tensor], name: str) -> GraphNetwork:
    """Build a network from its stored graph.

    Args:
        text: JSON of the graph.
        tensors: The saved tensors by name; those that are others' too are not among them.
        name: Of the file, for complaints.

    Raises:
        ValueError: If it is no graph over known operators, or the tensors are not its own.
    """
    try:
        program = Program.model_validate_json(text)
        shared = {
            key: tensors[held.same_as] for key, held in program.tensors.items() if held.same_as
        }
        return GraphNetwork(program, {**tensors, **shared}).eval()
    except (ValueError, KeyError, IndexError, RuntimeError, TypeError) as error:
        raise ValueError(f"{name} is no graph that fits the saved tensors: {error}") from error


def _select(model: nn.Module, name: str, index: list[int]) -> None:
    linear = dict(model.named_modules()).get(name)
    if not isinstance(linear, nn.Linear) or not set(index) <= set(range(linear.in_features)):
        raise ValueError(f"the manifest selects inputs that no linear layer {name!r} has")
    parent, _, leaf = name.rpartition(".")
    selected = SelectedLinear(linear, torch.tensor(index, dtype=torch.int64))
    setattr(model.get_submodule(parent), leaf, selected)


def _gate(
    model: nn.Module, dimensions: Mapping[str, list[Literal[1, -1]]], tensors: Mapping[str, Tensor]
) -> None:
    """Puts gates of the saved shapes in front of layers, their values still to come."""
    layers = dict(model.named_modules())
    gates: dict[str, list[InputGate]] = {}
    for layer, each in dimensions.items():
        places = [f"{NAME}.{key_of(layer)}.{number}" for number in range(len(each))]
        if layer not in layers or any(f"{place}.bias" not in tensors for place in places):
            raise ValueError(f"the manifest puts gates in front of {layer!r}, which has none")
        gates[layer] = [
            InputGate(shift, shift, dimension, tensors.get(f"{place}.index"))
            for place, dimension in zip(places, each, strict=True)
            for shift in [tensors[f"{place}.bias"]]
        ]
    attach(model, gates)


def _count(model: nn.Module, counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        owner, _, attribute = name.rpartition(".")
        layer = dict(model.named_modules()).get(owner)
        if not isinstance(getattr(layer, attribute, None), int):
            raise ValueError(f"the manifest sets {name!r}, which no layer of the network has")
        setattr(layer, attribute, count)


def _check_names(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    own = model.state_dict().keys()
    missing, unknown = sorted(own - tensors.keys()), sorted(tensors.keys() - own)
    if missing or unknown:
        raise ValueError(
            "the saved tensors are not this network's: "
            f"missing {missing or 'none'}, unknown {unknown or 'none'}"
        )

"""From a model to its structure."""

import torch
from torch import Tensor, nn

from advprune.structure.errors import UnsupportedModelError
from advprune.structure.graph import export
from advprune.structure.plan import Group, Layer, Structure
from advprune.structure.rules import Flow, walk


def trace(model: nn.Module, example_input: Tensor) -> Structure:
    """Finds the model's groups of channels, the layers that read them and every slicing plan.

    Args:
        model: any module that `torch.export` takes; it is left as it is.
        example_input: (batch, channels, height, width), any batch size.

    Raises:
        UnsupportedModelError: the model cannot be exported, or has no unit that could go.
        UnsupportedOperatorError: an operator without a rule, by name and place.
    """
    if example_input.dim() != 4:
        raise ValueError(
            f"example_input has shape {tuple(example_input.shape)}; "
            "it must be (batch, channels, height, width)"
        )
    return _numbered(walk(export(model, example_input)))


def _numbered(flow: Flow) -> Structure:
    roots = flow.units.groups()
    groups: dict[str, Group] = {}
    number: dict[int, int] = {}
    start = 0
    read = torch.cat([flow.units.roots(inputs) for inputs, _, _ in flow.reads.values()])
    for name, members in roots.items():
        if not name or not bool(torch.isin(members, read).any()):
            continue  # tied to the image or the logits, or read by nobody: left whole
        groups[name] = Group(name, len(members), len(members), start)
        number.update(zip(members.tolist(), range(start, start + len(members)), strict=True))
        start += len(members)
    if not groups:
        raise UnsupportedModelError("the model has no group of channels that could be pruned")

    def numbers(ids: Tensor) -> Tensor:
        return torch.tensor([number.get(int(unit), start) for unit in flow.units.roots(ids)])

    layers = {
        name: Layer(name, (numbers(inputs),), numbers(outputs), macs)
        for name, (inputs, outputs, macs) in flow.reads.items()
    }
    slices = {
        name: {dim: numbers(ids) for dim, ids in dims.items()} for name, dims in flow.slices.items()
    }
    return Structure(groups, layers, slices)

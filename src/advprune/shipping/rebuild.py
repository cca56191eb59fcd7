"""A network built anew and given the tensors of a smaller one."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from advprune.models import build
from advprune.shipping.manifest import Architecture
from advprune.structure import SelectedLinear
from advprune.structure.resize import replace_tensor


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
    _check_names(model, tensors)
    own = model.state_dict()
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            replace_tensor(model, name, tensor)
    model.load_state_dict(tensors, assign=True)
    model.architecture = architecture.plain()  # type: ignore[assignment]  # torch: tensors only
    return model.eval()


def _select(model: nn.Module, name: str, index: list[int]) -> None:
    linear = dict(model.named_modules()).get(name)
    if not isinstance(linear, nn.Linear) or not set(index) <= set(range(linear.in_features)):
        raise ValueError(f"the manifest selects inputs that no linear layer {name!r} has")
    parent, _, leaf = name.rpartition(".")
    selected = SelectedLinear(linear, torch.tensor(index, dtype=torch.int64))
    setattr(model.get_submodule(parent), leaf, selected)


def _check_names(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    own = model.state_dict().keys()
    missing, unknown = sorted(own - tensors.keys()), sorted(tensors.keys() - own)
    if missing or unknown:
        raise ValueError(
            "the saved tensors are not this network's: "
            f"missing {missing or 'none'}, unknown {unknown or 'none'}"
        )

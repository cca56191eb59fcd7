"""Giving a module's tensors new shapes, with the attributes that state them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

Indices = Mapping[int, Tensor]
"""Kept indices by dimension."""


def sliced(tensor: Tensor, kept: Indices) -> Tensor:
    """Returns the tensor with only the kept indices along each dimension."""
    for dim, indices in kept.items():
        tensor = tensor.index_select(dim, indices.to(tensor.device))
    return tensor


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Returns parameters and buffers by qualified name, tied ones under each of theirs."""
    parameters = model.named_parameters(remove_duplicate=False)
    return {**dict(parameters), **dict(model.named_buffers(remove_duplicate=False))}


def names_of(tensors: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Returns all names of a tensor, by each of them."""
    names: dict[int, list[str]] = {}
    for name, tensor in tensors.items():
        names.setdefault(id(tensor), []).append(name)
    return {name: every for every in names.values() for name in every}


def replace_tensor(model: nn.Module, name: str, value: Tensor) -> Tensor:
    """Puts a new value of any shape in place of a parameter or buffer, by its qualified name.

    Returns what now stands there, a parameter where one did.

    The owning layer's `in_channels`, `out_features`, `num_features` … follow the new shape.
    """
    owner_name, _, attribute = name.rpartition(".")
    owner = model.get_submodule(owner_name)
    old = getattr(owner, attribute)
    if isinstance(old, nn.Parameter) and not isinstance(value, nn.Parameter):
        value = nn.Parameter(value, requires_grad=old.requires_grad)
    setattr(owner, attribute, value)
    _state_shape(owner, attribute, value)
    return value


def resize(
    model: nn.Module, kept: Mapping[str, Indices], counts: Mapping[str, int] | None = None
) -> None:
    """Slices parameters and buffers of the model in place; tied ones stay tied.

    Args:
        model: the module to make smaller.
        kept: kept indices of each dimension, by qualified name of the parameter or buffer.
        counts: new values of modules' attributes, such as a convolution's groups, by name.
    """
    for name, count in (counts or {}).items():
        owner_name, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(owner_name), attribute, count)
    known = tensors_of(model)
    replaced: dict[int, Tensor] = {}
    with torch.no_grad():
        for name, indices in kept.items():
            value = known[name]
            if any(len(index) != value.shape[dim] for dim, index in indices.items()):
                new = replaced.get(id(value))
                new = sliced(value.detach(), indices) if new is None else new
                replaced[id(value)] = replace_tensor(model, name, new)


def _state_shape(owner: nn.Module, attribute: str, value: Tensor) -> None:
    if attribute == "weight" and isinstance(owner, _ConvTransposeNd):
        owner.in_channels, owner.out_channels = value.shape[0], value.shape[1] * owner.groups
    elif attribute == "weight" and isinstance(owner, _ConvNd):
        owner.out_channels, owner.in_channels = value.shape[0], value.shape[1] * owner.groups
    elif attribute == "weight" and isinstance(owner, nn.Linear):
        owner.out_features, owner.in_features = value.shape
    elif isinstance(owner, _NormBase):
        owner.num_features = value.shape[0]
    elif isinstance(owner, nn.PReLU):
        owner.num_parameters = value.shape[0]

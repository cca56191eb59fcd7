"""Giving a module's tensors new shapes, with the attributes that state them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Indices = Mapping[int, Tensor]
"""Kept indices by dimension."""


def sliced(tensor: Tensor, kept: Indices) -> Tensor:
    """Returns the tensor with only the kept indices along each dimension."""
    for dim, indices in kept.items():
        tensor = tensor.index_select(dim, indices.to(tensor.device))
    return tensor


def replace_tensor(model: nn.Module, name: str, value: Tensor) -> None:
    """Puts a new value of any shape in place of a parameter or buffer, by its qualified name.

    The owning layer's `in_channels`, `out_features`, `num_features` … follow the new shape.
    """
    owner_name, _, attribute = name.rpartition(".")
    owner = model.get_submodule(owner_name)
    old = getattr(owner, attribute)
    if isinstance(old, nn.Parameter):
        value = nn.Parameter(value, requires_grad=old.requires_grad)
    setattr(owner, attribute, value)
    _state_shape(owner, attribute, value)


def resize(model: nn.Module, kept: Mapping[str, Indices]) -> None:
    """Slices parameters and buffers of the model in place.

    Args:
        model: the module to make smaller.
        kept: kept indices of each dimension, by qualified name of the parameter or buffer.
    """
    with torch.no_grad():
        for name, indices in kept.items():
            owner_name, _, attribute = name.rpartition(".")
            value = getattr(model.get_submodule(owner_name), attribute)
            if any(len(index) != value.shape[dim] for dim, index in indices.items()):
                replace_tensor(model, name, sliced(value.detach(), indices))


def _state_shape(owner: nn.Module, attribute: str, value: Tensor) -> None:
    if attribute == "weight" and isinstance(owner, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        owner.out_channels = value.shape[0]
        owner.in_channels = value.shape[1] * owner.groups
    elif attribute == "weight" and isinstance(owner, nn.Linear):
        owner.out_features, owner.in_features = value.shape
    elif isinstance(owner, _BatchNorm):
        owner.num_features = value.shape[0]

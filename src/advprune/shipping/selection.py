"""Selections of a linear layer's inputs, written as columns of zeros where that is quicker."""

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

GATHERED = 300
"""Multiply-accumulates that take as long as gathering one value; benchmarks/selection_speed.py."""

_SELECT = torch.ops.aten.index_select.default
_LINEAR = torch.ops.aten.linear.default


def fold_selections(exported: ExportedProgram) -> None:
    """Let linear layers read all that arrives where selecting takes longer than it saves, in place.

    `x[:, index] Wᵀ = x W'ᵀ`, where W' has W's columns at `index` and zeros elsewhere. With k of n
    inputs selected for m outputs, the selection saves (n - k) m multiply-accumulates an image and
    gathers k values. The file grows by 4 (n - k) m bytes.

    Args:
        exported: Its graph and its tensors are changed; its answers stay.
    """
    names = {
        spec.arg.name: spec.target
        for spec in exported.graph_signature.input_specs
        if spec.target is not None
    }
    held = {**exported.state_dict, **exported.constants}
    for node in list(exported.graph.nodes):
        if not _selects_for_a_linear_layer(node):
            continue
        (reader,) = node.users
        source, _, index = node.args
        weight = reader.args[1]
        if index.name not in names or weight.name not in names or len(weight.users) > 1:
            continue
        chosen, narrow = held[names[index.name]], held[names[weight.name]]
        arriving = source.meta["val"].shape[-1]
        if (arriving - len(chosen)) * len(narrow) >= GATHERED * len(chosen):
            continue
        wide = _widened(narrow, chosen, arriving)
        exported.state_dict[names[weight.name]] = wide
        weight.meta["val"] = weight.meta["val"].new_empty(wide.shape)
        reader.replace_input_with(node, source)
        exported.graph.erase_node(node)
    exported.graph_module.recompile()


def _selects_for_a_linear_layer(node: Node) -> bool:
    if node.target is not _SELECT or len(node.users) != 1:
        return False
    (reader,) = node.users
    last = node.args[1] in (-1, node.meta["val"].dim() - 1)
    return last and reader.target is _LINEAR and reader.args[0] is node


def _widened(narrow: Tensor, index: Tensor, arriving: int) -> nn.Parameter:
    wide = narrow.new_zeros(len(narrow), arriving)
    return nn.Parameter(wide.index_add(1, index, narrow.detach()))

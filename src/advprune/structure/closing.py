"""Every value must stay a box when units are cut from it."""

import torch
from torch import Tensor
from torch.fx import Node

from advprune.structure.flow import Flow
from advprune.structure.labels import FIXED, Units, compact, varying


def close(flow: Flow) -> None:
    """Ties units until each one lies across its values: whole slices along one dimension.

    Where a value may be sliced along several dimensions, such as heads and their width, the one
    that leaves most units is taken, after all that operators mix has been tied.
    """
    while sum(_closed(flow, node, labels) for node, labels in _grids(flow)):
        pass


def _grids(flow: Flow) -> list[tuple[Node, Tensor]]:
    values = [
        (node, labels)
        for node, value in flow.labels.items()
        for labels in (value if isinstance(value, list) else [value])
    ]
    return [(node, labels) for node, labels in values + flow.grids if len(varying(labels)) > 1]


def _closed(flow: Flow, node: Node, labels: Tensor) -> bool:
    present = compact(flow.units.roots(labels))
    dims = varying(present)
    if len(dims) < 2:
        return False
    best = max(reversed(dims), key=lambda dim: _left(present, dim))
    flow.merge(node, present, [dim for dim in dims if dim != best])
    return True


def _left(labels: Tensor, dim: int) -> int:
    """Returns how many units are left when all that share a place along the dimension are tied."""
    known, where = torch.unique(labels, return_inverse=True)
    units = Units()
    ids = units.fresh("", len(known))
    if int(known[0]) == FIXED:
        units.freeze(ids[:1], "")
    units.merge(ids[where], [other for other in range(labels.dim()) if other != dim], "")
    return len(torch.unique(units.roots(ids)))

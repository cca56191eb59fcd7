"""Which unit each element of a value belongs to, and which units must be removed together."""

import torch
from torch import Tensor

FIXED = 0
"""The unit of everything that always stays: the image and the logits."""


class Units:
    """Units of the network: made by layers, tied where values meet (union-find).

    A unit is one output channel of one layer. Units that are tied are removed together; what is
    tied to `FIXED` stays.
    """

    def __init__(self) -> None:
        self._parent = [FIXED]
        self._maker = [""]

    def fresh(self, maker: str, count: int) -> Tensor:
        """Returns (count,) ids of new units that the module `maker` makes."""
        start = len(self._parent)
        self._parent += range(start, start + count)
        self._maker += [maker] * count
        return torch.arange(start, start + count)

    def tie(self, left: Tensor, right: Tensor) -> None:
        """Ties units elementwise; both are ids of one shape."""
        pairs = torch.unique(torch.stack([left.flatten(), right.flatten()], dim=1), dim=0)
        for a, b in pairs.tolist():
            first, second = sorted((self._find(a), self._find(b)))
            self._parent[second] = first

    def roots(self, ids: Tensor) -> Tensor:
        """Returns the id that stands for each unit's tied set."""
        known, where = torch.unique(ids, return_inverse=True)
        return torch.tensor([self._find(unit) for unit in known.tolist()])[where]

    def groups(self) -> dict[str, Tensor]:
        """Returns, by the first maker's name, the roots of the units that makers share."""
        first: dict[str, str] = {}  # union-find over makers
        for unit, maker in enumerate(self._maker):
            root = self._maker[self._find(unit)]
            a, b = _follow(first, maker), _follow(first, root)
            if a != b:
                first[a] = b
        members: dict[str, list[int]] = {}
        for unit, maker in enumerate(self._maker):
            if self._find(unit) == unit:
                members.setdefault(_follow(first, maker), []).append(unit)
        return {name: torch.tensor(units) for name, units in members.items()}

    def _find(self, unit: int) -> int:
        while self._parent[unit] != unit:
            self._parent[unit] = self._parent[self._parent[unit]]
            unit = self._parent[unit]
        return unit


def _follow(first: dict[str, str], name: str) -> str:
    while name in first:
        name = first[name]
    return name


def along(labels: Tensor, dim: int) -> Tensor | None:
    """Returns the ids along one dimension, or None where they vary along another one.

    Args:
        labels: ids of every element, (batch, ...).
        dim: the dimension that may vary.
    """
    line = labels.movedim(dim, 0).flatten(1)
    return line[:, 0].clone() if bool((line == line[:, :1]).all()) else None


def spread(ids: Tensor, dim: int, shape: torch.Size) -> Tensor:
    """Returns labels of `shape` that follow `ids` along `dim`; the inverse of `along`."""
    lined = [1] * len(shape)
    lined[dim] = -1
    return ids.view(lined).expand(shape)

"""Which unit each element of a value belongs to, and which units must be removed together.

Labels of a value are ids of units with the value's rank; a dimension along which they do not vary
has size 1, whatever the value's own size there.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

FIXED = 0
"""The unit of everything that always stays: the image and the logits."""


class Units:
    """Units of the network: made by layers, tied where values meet (union-find).

    A unit is one output channel of one layer, or one element of a parameter. Units that are tied
    are removed together; what is tied to `FIXED` stays.
    """

    def __init__(self) -> None:
        self._parent = torch.zeros(1, dtype=torch.int64)
        self._maker = torch.zeros(1, dtype=torch.int64)
        self._why = torch.zeros(1, dtype=torch.int64)
        self._makers = [""]
        self._reasons = [""]
        self._merged: list[tuple[int, str]] = []

    @property
    def count(self) -> int:
        """Returns how many units there are, with the one that stays."""
        return len(self._parent)

    def fresh(self, maker: str, count: int) -> Tensor:
        """Returns (count,) ids of new units that the layer `maker` makes; '' is no layer."""
        start = len(self._parent)
        ids = torch.arange(start, start + count)
        if maker not in self._makers:
            self._makers.append(maker)
        number = self._makers.index(maker)
        self._parent = torch.cat([self._parent, ids])
        self._maker = torch.cat([self._maker, torch.full_like(ids, number)])
        self._why = torch.cat([self._why, torch.zeros_like(ids)])
        return ids

    def tie(self, left: Tensor, right: Tensor, reason: str = "") -> None:
        """Ties units elementwise; both are ids that broadcast to one shape.

        Args:
            left: ids.
            right: ids.
            reason: why units that come to stay by this do.
        """
        left, right = broadcast(left, right).flatten(), broadcast(right, left).flatten()
        left, right = torch.unique(torch.stack([left, right]), dim=1)
        while True:
            a, b = self.roots(left), self.roots(right)
            low, high = torch.minimum(a, b), torch.maximum(a, b)
            if bool((low == high).all()):
                return
            staying = (low == FIXED) & (high != FIXED)
            if bool(staying.any()):
                partner = torch.where(a == FIXED, left, right)[staying]
                self.freeze(high[staying], self._known_reason(partner) or reason)
            else:
                self._parent.scatter_reduce_(0, high, low, "amin")

    def merge(self, labels: Tensor, dims: Sequence[int], reason: str) -> Tensor:
        """Ties the units that lie side by side along dimensions; returns labels of size 1 there."""
        first = labels
        for dim in dims:
            first = first.narrow(dim, 0, 1)
        if bool((self.roots(labels) != self.roots(first)).any()):
            self.tie(labels, first)
            self._merged += [(unit, reason) for unit in torch.unique(first).tolist()]
        return first

    def freeze(self, ids: Tensor, reason: str) -> None:
        """Ties units to what stays, and notes why."""
        roots = torch.unique(self.roots(ids))
        roots = roots[roots != FIXED]
        if len(roots) == 0:
            return
        members = torch.isin(self.roots(torch.arange(len(self._parent))), roots)
        self._reasons.append(reason)
        self._why[members] = len(self._reasons) - 1
        self._parent[roots] = FIXED

    def roots(self, ids: Tensor) -> Tensor:
        """Returns the id that stands for each unit's tied set."""
        found = self._parent[ids]
        while not torch.equal(above := self._parent[found], found):
            found = above
        self._parent[ids] = found
        return found

    def groups(self) -> dict[str, Tensor]:
        """Returns, by the first maker's name, the roots of the units that makers share."""
        every = torch.arange(len(self._parent))
        made = (self._maker > 0) & (self.roots(every) != FIXED)
        roots, maker = self.roots(every)[made], self._maker[made]
        first = torch.full_like(every, len(self._makers)).scatter_reduce_(0, roots, maker, "amin")
        makers = Units()
        makers.fresh("", len(self._makers))
        makers.tie(maker + 1, first[roots] + 1)
        names = makers.roots(torch.arange(1, len(self._makers) + 1)) - 1
        members, where = torch.unique(roots, return_inverse=True)
        of_member = torch.zeros_like(members).index_copy_(0, where, names[maker])
        return {
            self._makers[number]: members[of_member == number]
            for number in torch.unique(of_member).tolist()
        }

    def why(self, ids: Tensor) -> str:
        """Returns why units stay: the first noted reason among them, '' if there is none."""
        numbers = self._why[ids.flatten()]
        noted = numbers[numbers > 0]
        if len(noted):
            return self._reasons[int(noted[0])]
        roots = set(self.roots(ids).flatten().tolist())
        return next(
            (why for unit, why in self._merged if int(self.roots(torch.tensor(unit))) in roots), ""
        )

    def _known_reason(self, ids: Tensor) -> str:
        numbers = self._why[ids]
        return self._reasons[int(numbers.max())]


def broadcast(labels: Tensor, other: Tensor) -> Tensor:
    """Returns labels in the shape that both broadcast to."""
    shape: torch.Size = torch.broadcast_shapes(labels.shape, other.shape)  # type: ignore[no-untyped-call]
    return labels.expand(shape)


def compact(labels: Tensor) -> Tensor:
    """Returns labels with size 1 along each dimension along which they do not vary."""
    for dim, size in enumerate(labels.shape):
        first = labels.narrow(dim, 0, 1) if size else labels
        if size > 1 and (labels.stride(dim) == 0 or bool((labels == first).all())):
            labels = first
    return labels


def varying(labels: Tensor) -> list[int]:
    """Returns the dimensions along which compact labels vary."""
    return [dim for dim, size in enumerate(labels.shape) if size > 1]


def spread(ids: Tensor, dim: int, rank: int) -> Tensor:
    """Returns labels of a rank that follow ids along one dimension."""
    lined = [1] * rank
    lined[dim] = -1
    return compact(ids.view(lined))

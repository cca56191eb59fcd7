"""Which units stay when gates close: what nothing reads goes too, and nothing is emptied."""

from collections.abc import Collection

import torch
from torch import Tensor

from advprune.structure.plan import Structure


def living(structure: Structure, active: Tensor, score: Tensor) -> Tensor:
    """Returns which active units are still read, never emptying a group; (units,) bool.

    Args:
        structure: groups and layers.
        active: (units,) bool, the gates' own word.
        score: (units,); the best unit of an empty group stays.
    """
    keep = active.clone()
    for _ in range(len(structure.groups) + 1):
        before = keep
        keep = _never_empty(structure, keep & _read(structure, keep), score)
        if bool((keep == before).all()):
            break
    return keep


def _read(structure: Structure, keep: Tensor) -> Tensor:
    ones = torch.cat([keep, keep.new_ones(1)])
    read = torch.zeros_like(ones)
    for layer in structure.layers.values():
        open_ = layer.factor(ones)
        for factor in layer.inputs:
            read[factor[open_]] = True
    return read[:-1]


def _never_empty(structure: Structure, keep: Tensor, score: Tensor) -> Tensor:
    keep = keep.clone()
    ones = torch.cat([keep, keep.new_ones(1)])
    for span in structure.spans:
        if not bool(ones[span].any()):
            ones[span[score[span].argmax()]] = True
    for layer in structure.layers.values():  # one input of each layer, with all its factors
        if not bool(layer.factor(ones).any()):
            best = layer.factor(torch.cat([score, score.new_ones(1)])).argmax()
            for factor in layer.inputs:
                ones[factor[best]] = True
    return ones[:-1]


def least(structure: Structure, groups: Collection[str] | None = None) -> Tensor:
    """Returns, (units,) bool, what stays when as much goes as can go.

    Args:
        structure: groups and layers.
        groups: names of those from which units go; all groups where they are not given.
    """
    keep = torch.ones(structure.units, dtype=torch.bool)
    for name in structure.groups if groups is None else groups:
        keep[structure.groups[name].span] = False
    return living(structure, keep, torch.zeros(structure.units))

import torch

from advprune.gates import GatedModel
from advprune.structure import Group, Layer, Structure, least, living


def two_groups() -> Structure:
    """Two groups of two, read side by side by one layer."""
    units, made = torch.arange(4), torch.tensor([4, 4])
    groups = {"a": Group("a", 2, 2, 0), "b": Group("b", 2, 2, 2)}
    return Structure(groups, {"c": Layer("c", (units,), made, 1)}, spans=(units[:2], units[2:]))


def test_no_span_is_ever_emptied() -> None:
    keep = torch.tensor([False, False, True, True])
    found = living(two_groups(), keep, torch.tensor([0.1, 0.2, 0.3, 0.4]))
    assert found.tolist() == [False, True, True, True]


def test_the_least_is_one_unit_of_each_group(chain: GatedModel) -> None:
    structure = chain.structure
    kept = structure.split(least(structure))
    assert {name: int(units.sum()) for name, units in kept.items()} == dict.fromkeys(kept, 1)
    only = structure.split(least(structure, ["conv2"]))
    assert {name: int(units.sum()) for name, units in only.items()} == {
        "conv1": 3,
        "conv2": 1,
        "f1": 5,
    }

import torch

from advprune.structure.parts import Group, Layer


def layer(*given: int, places: int = 0) -> Layer:
    return Layer("fc", (torch.tensor(given),), torch.tensor([9]), 1, places=places)


def test_the_columns_of_a_group_go_by_unit_wherever_they_lie() -> None:
    group = Group("conv", units=2, total=2, start=3)
    assert layer(3, 3, 4, 4).columns(group).tolist() == [[0, 1], [2, 3]]
    assert layer(0, 4, 3, 1).columns(group).tolist() == [[2], [1]]  # among those of other groups


def test_places_that_are_not_read_lie_behind_the_last_column() -> None:
    group = Group("conv", units=2, total=2, start=0)
    assert layer(0, 1, 1, 1).columns(group).tolist() == [[0, 4, 4], [1, 2, 3]]
    assert layer(0, 1, places=3).columns(group).tolist() == [[0, 2, 2], [1, 2, 2]]

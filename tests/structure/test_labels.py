import torch

from advprune.structure.labels import FIXED, Units, along, spread


def test_tied_units_share_a_root_and_their_makers_a_group() -> None:
    units = Units()
    a, b, c = units.fresh("a", 2), units.fresh("b", 2), units.fresh("c", 2)
    units.tie(a, c)
    assert torch.equal(units.roots(c), a)
    assert {name: ids.tolist() for name, ids in units.groups().items() if name} == {
        "a": a.tolist(),
        "b": b.tolist(),
    }


def test_units_tied_to_what_stays_belong_to_no_named_group() -> None:
    units = Units()
    a = units.fresh("a", 2)
    units.tie(a, torch.full((2,), FIXED))
    assert list(units.groups()) == [""]


def test_labels_along_a_dimension_are_the_inverse_of_spreading_them() -> None:
    ids = torch.tensor([5, 7, 9])
    labels = spread(ids, 1, torch.Size((2, 3, 4)))
    found = along(labels, 1)
    assert found is not None
    assert torch.equal(found, ids)
    assert along(labels, 2) is None

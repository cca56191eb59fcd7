import torch

from advprune.structure.labels import FIXED, Units, compact, spread, varying


def test_tied_units_share_a_root_and_their_makers_a_group() -> None:
    units = Units()
    a, b, c = units.fresh("a", 2), units.fresh("b", 2), units.fresh("c", 2)
    units.tie(a, c)
    assert torch.equal(units.roots(c), a)
    assert {name: ids.tolist() for name, ids in units.groups().items()} == {
        "a": a.tolist(),
        "b": b.tolist(),
    }


def test_makers_that_share_one_unit_make_one_group() -> None:
    units = Units()
    a, b, c = units.fresh("a", 2), units.fresh("b", 2), units.fresh("c", 4)
    units.tie(torch.cat([a, b]), c)
    assert {name: len(ids) for name, ids in units.groups().items()} == {"a": 4}


def test_ties_hold_through_chains_in_any_order() -> None:
    units = Units()
    ids = units.fresh("a", 5)
    units.tie(ids[[3, 1]], ids[[4, 2]])
    units.tie(ids[[2, 0]], ids[[4, 0]])
    assert units.roots(ids).tolist() == [ids[0], *[ids[1]] * 4]


def test_units_tied_to_what_stays_belong_to_no_group() -> None:
    units = Units()
    a, b = units.fresh("a", 2), units.fresh("b", 2)
    units.tie(a, torch.full((2,), FIXED), "it meets the image")
    units.tie(a[:1], b[:1], "it meets a")
    assert {name: ids.tolist() for name, ids in units.groups().items()} == {"b": [int(b[1])]}
    assert units.why(b) == units.why(a) == "it meets the image"


def test_a_merge_is_the_reason_of_what_it_ties() -> None:
    units = Units()
    a = units.fresh("a", 3)
    units.merge(a.view(1, 3), [1], "a mean")
    assert len(torch.unique(units.roots(a))) == 1
    assert units.why(a) == "a mean"


def test_parameters_make_no_group() -> None:
    units = Units()
    units.fresh("", 3)
    assert units.groups() == {}


def test_compact_labels_have_size_1_where_they_do_not_vary() -> None:
    ids = torch.tensor([5, 7, 9])
    labels = spread(ids, 1, 3)
    assert labels.shape == (1, 3, 1)
    assert torch.equal(compact(labels.expand(2, 3, 4)), labels)
    assert torch.equal(compact(labels.repeat(2, 1, 4)), labels)
    assert varying(labels) == [1]

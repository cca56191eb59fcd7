from advprune.recipes.inheriting import inherit


def test_mappings_are_joined_and_other_values_replaced() -> None:
    base = {"a": 1, "b": {"c": 2, "d": [1, 2]}}
    joined = inherit(base, {"b": {"d": [3], "e": 4}})
    assert joined == {"a": 1, "b": {"c": 2, "d": [3], "e": 4}}
    assert base == {"a": 1, "b": {"c": 2, "d": [1, 2]}}


def test_an_empty_mapping_forgets_what_the_base_has() -> None:
    assert inherit({"a": {"b": 1}, "c": 2}, {"a": {}}) == {"a": {}, "c": 2}


def test_entries_of_one_name_are_joined_where_they_stand_and_new_ones_follow() -> None:
    base = {"phases": [{"name": "x", "epochs": 1, "decay": 2}, {"name": "y"}]}
    joined = inherit(base, {"phases": [{"name": "z"}, {"name": "x", "epochs": 5}]})
    assert joined["phases"] == [
        {"name": "x", "epochs": 5, "decay": 2},
        {"name": "y"},
        {"name": "z"},
    ]

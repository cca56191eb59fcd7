import operator

import pytest
import torch

from advprune.structure.operators import OPERATORS, name_of, operator_of


def test_an_operator_is_found_by_the_name_it_is_stored_under() -> None:
    for target in (torch.ops.aten.relu.default, operator.mul):
        assert operator_of(name_of(target)) is target


def test_nothing_on_the_list_changes_its_arguments() -> None:
    changing = [
        name
        for name, function in OPERATORS.items()
        if (schema := getattr(function, "_schema", None)) is not None and schema.is_mutable
    ]
    assert changing == []


@pytest.mark.parametrize("name", ["aten.from_file.default", "aten.relu_.default", "builtins.eval"])
def test_what_is_not_on_the_list_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        operator_of(name)

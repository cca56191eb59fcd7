from typing import Any

import pytest

from advprune.recipes.overriding import override


@pytest.fixture
def recipe() -> dict[str, Any]:
    phases = [{"name": "first", "epochs": 1}, {"name": "second", "epochs": 2, "budget": None}]
    return {"seed": 0, "training": {"phases": phases}}


def test_a_value_is_read_as_yaml(recipe: dict[str, Any]) -> None:
    override(recipe, "training.rate=1e-3")
    override(recipe, "model.widths=[4, 8]")
    assert recipe["training"]["rate"] == 1e-3
    assert recipe["model"] == {"widths": [4, 8]}


@pytest.mark.parametrize("entry", ["1", "second"])
def test_an_entry_of_a_list_is_named_by_place_or_by_name(
    recipe: dict[str, Any], entry: str
) -> None:
    override(recipe, f"training.phases.{entry}.epochs=7")
    assert [phase["epochs"] for phase in recipe["training"]["phases"]] == [1, 7]


def test_settings_that_were_off_can_be_filled(recipe: dict[str, Any]) -> None:
    override(recipe, "training.phases.second.budget.macs=0.2")
    assert recipe["training"]["phases"][1]["budget"] == {"macs": 0.2}


def test_a_whole_entry_can_be_replaced(recipe: dict[str, Any]) -> None:
    override(recipe, "training.phases.0={name: other}")
    assert recipe["training"]["phases"][0] == {"name": "other"}


def test_the_value_may_hold_an_equals_sign(recipe: dict[str, Any]) -> None:
    override(recipe, "description=a=b")
    assert recipe["description"] == "a=b"


@pytest.mark.parametrize("assignment", ["seed", "=3", "training..x=3"])
def test_without_key_and_equals_sign_it_is_refused(recipe: dict[str, Any], assignment: str) -> None:
    with pytest.raises(ValueError, match="write key=value"):
        override(recipe, assignment)


def test_an_unknown_entry_is_refused_with_the_nearest_one(recipe: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"training\.phases 'secnd' \(did you mean 'second'\?\)"):
        override(recipe, "training.phases.secnd.epochs=7")


def test_nothing_can_be_set_inside_a_number(recipe: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="seed is 0: nothing can be set inside it"):
        override(recipe, "seed.value=7")

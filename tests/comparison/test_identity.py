import json
from pathlib import Path

import pytest

from advprune import recipes
from advprune.comparison.identity import code, identity, networks


def test_the_same_recipe_has_the_same_identity() -> None:
    assert identity(recipes.load("digits")) == identity(recipes.load("digits"))


@pytest.mark.parametrize(
    "change",
    ["seed=1", "training.phases.prune.beta=2", "evaluation.examples=9", "data.validation=99"],
)
def test_whatever_a_run_follows_from_changes_it(change: str) -> None:
    assert identity(recipes.load("digits", [change])) != identity(recipes.load("digits"))


def test_a_default_that_is_written_out_does_not(tmp_path: Path) -> None:
    path = tmp_path / "digits.yaml"
    path.write_text(recipes.dump(recipes.load("digits")), encoding="utf-8")
    assert identity(recipes.load(path)) == identity(recipes.load("digits"))


def test_other_code_or_data_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity(recipes.load("digits"))
    monkeypatch.setattr("advprune.comparison.identity.code", lambda: "other")
    assert identity(recipes.load("digits")) != before
    monkeypatch.undo()
    monkeypatch.setattr("advprune.comparison.identity.images", lambda recipe: ["other"])
    assert identity(recipes.load("digits")) != before


def test_another_saved_model_to_build_on_changes_it(tmp_path: Path) -> None:
    recipe = recipes.load("mnist-pretrained-at", [f"model.start_from={tmp_path / 'model'}"])
    (tmp_path / "model").mkdir()
    found = [networks(recipe)]
    for weights in ("one", "other"):
        (tmp_path / "model" / "manifest.json").write_text(json.dumps({"weights": weights}))
        found.append(networks(recipe))
    assert [list(one) for one in found] == [[str(tmp_path / "model")]] * 3
    assert len({value for one in found for value in one.values()}) == 3


def test_the_teachers_and_sources_of_a_recipe_are_among_them() -> None:
    for name in ("mnist-ard", "mnist-ensemble-at"):
        recipe = recipes.load(name, ["evaluation.sources=[zoo:mnist-lenet5-anp-vs]"])
        assert networks(recipe).keys() == {"zoo:mnist-lenet5-anp-vs", *recipe.training.networks}
        assert networks(recipe)["zoo:mnist-lenet5-anp-vs"] is not None


def test_the_code_is_that_of_the_package() -> None:
    assert len(code()) == 64
    assert code() == code()

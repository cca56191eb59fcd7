from typing import Any

import pytest
from pydantic import ValidationError

from advprune.recipes import DataSettings, EvaluationSettings, ModelSettings, Recipe, ThreatSettings


def recipe(phase: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    given = {
        "name": "mine",
        "data": {"name": "digits"},
        "model": {"name": "small_cnn"},
        "training": {"phases": [{"name": "train", **(phase or {})}]},
    }
    return Recipe.model_validate(given | changes)


def test_other_keys_of_data_and_model_are_their_arguments() -> None:
    data = DataSettings.model_validate({"name": "folder", "path": "photos", "size": 32})
    assert data.arguments == {"size": 32}
    model = ModelSettings.model_validate({"name": "small_cnn", "widths": [4, 8, 16]})
    assert model.arguments == {"widths": [4, 8, 16]}


@pytest.mark.parametrize("validation", [5000, 0.1, 0])
def test_held_out_images_keep_being_a_count_or_a_share(validation: float) -> None:
    kept = DataSettings(name="digits", validation=validation).validation
    assert kept == validation
    assert type(kept) is type(validation)


@pytest.mark.parametrize("validation", [-1, 1.5, 1.0, True, "many"])
def test_an_impossible_number_of_held_out_images_is_refused(validation: Any) -> None:
    with pytest.raises(ValidationError, match="a number of images or a share"):
        DataSettings(name="digits", validation=validation)


@pytest.mark.parametrize(
    ("settings", "name"), [(DataSettings, "digts"), (ModelSettings, "small_cn")]
)
def test_unknown_names_are_refused_before_any_work(settings: Any, name: str) -> None:
    with pytest.raises(ValidationError, match="did you mean"):
        settings(name=name)


def test_a_model_of_the_users_own_is_left_to_be_imported_later() -> None:
    assert ModelSettings(name="my.models:net").name == "my.models:net"


def test_radii_may_be_fractions_and_a_curve_may_start_at_zero() -> None:
    assert ThreatSettings.model_validate({"eps": "8/255"}).build().eps == 8 / 255
    assert EvaluationSettings.model_validate({"curve": [0, "1/4"]}).curve == (0, 0.25)


@pytest.mark.parametrize("eps", [0, -1, "8/0", "much", None])
def test_a_radius_that_allows_no_attack_is_refused(eps: Any) -> None:
    with pytest.raises(ValidationError, match="eps"):
        ThreatSettings.model_validate({"eps": eps})


def test_an_unknown_suite_is_refused() -> None:
    with pytest.raises(ValidationError, match="did you mean 'quick'"):
        EvaluationSettings(suite="quik")


def test_one_seed_rules_everything() -> None:
    assert recipe(seed=3).training.seed == 3
    assert "seed" not in recipe(seed=3).resolved()["training"]


def test_a_second_seed_is_refused() -> None:
    with pytest.raises(ValidationError, match="one seed"):
        recipe(seed=3, training={"phases": [{"name": "train"}], "seed": 4})


def test_a_gated_phase_needs_gates() -> None:
    with pytest.raises(ValidationError, match="phase 'train' is gated"):
        recipe({"on": "gated"})
    assert recipe({"on": "gated"}, gates={"family": "beta_bernoulli"}).gates is not None


def test_gates_without_a_gated_phase_are_refused() -> None:
    with pytest.raises(ValidationError, match="no phase is gated"):
        recipe(gates={"family": "beta_bernoulli"})


def test_an_impossible_option_of_the_gates_is_refused_by_its_key() -> None:
    with pytest.raises(ValidationError, match=r"gates.options\n.*did you mean 'start'"):
        recipe({"on": "gated"}, gates={"options": {"strat": 2}})


def test_an_unknown_family_of_gates_is_refused() -> None:
    with pytest.raises(ValidationError, match="did you mean 'beta_bernoulli'"):
        recipe({"on": "gated"}, gates={"family": "beta_bernouli"})

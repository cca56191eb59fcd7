import pytest
from pydantic import ValidationError

from advprune.training.parts import AttackSettings, GateSettings


def test_a_step_size_may_be_a_fraction_of_pixel_levels() -> None:
    assert AttackSettings.model_validate({"step_size": "2/255"}).step_size == 2 / 255


@pytest.mark.parametrize("size", ["2/0", "a/b", 0, -0.1])
def test_an_impossible_step_size_is_refused(size: object) -> None:
    with pytest.raises(ValidationError, match="step_size"):
        AttackSettings.model_validate({"step_size": size})


def test_gates_take_the_options_of_their_family() -> None:
    assert GateSettings(options={"start": 2}).options == {"start": 2.0}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"options": {"strat": 2}}, r"options.*takes start, alpha.*did you mean 'start'"),
        ({"options": {"units": 3}}, "options.*unexpected keyword argument 'units'"),
        ({"options": {"alpha": -1}}, "options.*both must be over 0"),
        ({"family": "fixed", "options": {"start": 2}}, "options.*takes nothing"),
        ({"family": "beta_bernouli"}, "family.*did you mean 'beta_bernoulli'"),
    ],
)
def test_impossible_gates_are_refused(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=f"(?s){complaint}"):
        GateSettings.model_validate(given)

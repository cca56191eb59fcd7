import pytest
from pydantic import ValidationError

from advprune.training.parts import AttackSettings, Budget, GateSettings


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


def test_a_budget_is_of_one_measure_and_widths_go_by_it() -> None:
    assert Budget(macs=0.2).multiple == 1
    told = Budget.model_validate({"latency": "2ms"})
    assert (told.latency, told.multiple) == (2.0, 8)
    assert Budget(latency=2, round_to=4).multiple == 4


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "give one of them"),
        ({"macs": 0.5, "latency": 2}, "give one of them"),
        ({"latency": "two"}, "latency"),
        ({"latency": 0}, "latency.*greater than 0"),
    ],
)
def test_an_impossible_budget_is_refused(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=f"(?s){complaint}"):
        Budget.model_validate(given)

import pytest
from pydantic import ValidationError

from advprune.training.settings import Phase, Training


def test_an_unknown_key_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="epoch_count"):
        Phase.model_validate({"name": "a", "epoch_count": 3})


def test_an_objective_with_gates_needs_a_gated_phase() -> None:
    with pytest.raises(ValidationError, match="needs on: gated, not 'dense'"):
        Phase(name="a", on="dense", objective="anp")


def test_an_unknown_objective_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ValidationError, match="did you mean 'trades'"):
        Phase(name="a", objective="trade")


def test_distillation_needs_a_teacher_and_nothing_else_hears_one() -> None:
    with pytest.raises(ValidationError, match="'rslad' needs a teacher"):
        Phase(name="a", objective="rslad")
    with pytest.raises(ValidationError, match="'adversarial' hears no teacher; allowed: anp_ard"):
        Phase(name="a", objective="adversarial", teacher="zoo:x")
    phase = Phase(name="a", objective="ard", teacher="zoo:x")
    assert Training(phases=(phase,)).networks == {"zoo:x"}


def test_something_must_be_minimised() -> None:
    with pytest.raises(ValidationError, match="both 0"):
        Phase(name="a", clean_weight=0, adversarial_weight=0)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"objective": "adv_bnn"}, "on: gaussian goes with 'adv_bnn'"),
        ({"on": "gaussian", "objective": "adversarial"}, "on: gaussian goes with 'adv_bnn'"),
        ({"objective": "madry", "vulnerability_weight": 1}, "'adversarial' sees them"),
        ({"attack": {"replays": 4, "on": "sampled"}}, "no sources, on: expected"),
        (
            {"sparsity": {"share": 0.5, "learned": "scores", "scope": "channel"}},
            "learned scores go with scope layer or global, not 'channel'",
        ),
        (
            {"sparsity": {"share": 0.5, "learned": "rates", "scope": "global"}},
            "learned rates go with scope layer, not 'global'",
        ),
        ({"sparsity": {"share": 0.5, "learned": "scores", "admm": 1}}, "give one at most"),
        ({"sparsity": {"share": 0.5, "learned": "scores"}, "average": 0.9}, "has few at 0"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Phase.model_validate({"name": "a", **given})


def test_all_saved_models_that_phases_name_are_known() -> None:
    given = {"attack": {"sources": ["a", "b"]}}
    phases = [{"name": "x", **given}, {"name": "y", "objective": "ard", "teacher": "c"}]
    assert Training.model_validate({"phases": phases}).networks == {"a", "b", "c"}


def test_a_budget_needs_a_gated_phase() -> None:
    with pytest.raises(ValidationError, match="budget is met by gates"):
        Phase.model_validate({"name": "a", "on": "slim", "budget": {"macs": 0.1}})


def test_phases_run_dense_then_gated_then_slim() -> None:
    gated, dense = Phase(name="a", on="gated"), Phase(name="b", on="dense")
    with pytest.raises(ValidationError, match="dense, gaussian, gated, then slim"):
        Training(phases=(gated, dense))


def test_a_slim_phase_needs_a_gated_one() -> None:
    with pytest.raises(ValidationError, match="needs a gated one before it"):
        Training(phases=(Phase(name="a", on="slim"),))


def test_phases_have_names_of_their_own() -> None:
    with pytest.raises(ValidationError, match="name of its own"):
        Training(phases=(Phase(name="a"), Phase(name="a")))

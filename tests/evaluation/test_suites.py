import pytest

from advprune.attacks import APGD
from advprune.evaluation.suites import SUITES, paper_attack, transfer
from advprune.threat import ThreatModel

MNIST = ThreatModel("linf", 0.3)


def budget(suite: str) -> list[tuple[str, object, object, object]]:
    described = {name: trial.attack.describe() for name, trial in SUITES[suite](MNIST).items()}
    return [
        (name, d["steps"], d["restarts"], d["loss"])
        for name, d in described.items()
        if "steps" in d
    ]


def test_the_suites_have_the_budgets_they_are_known_by() -> None:
    assert budget("quick") == [
        ("pgd", 20, 2, "cross_entropy"),
        ("pgd_margin", 20, 1, "margin"),
        ("fgsm", 1, 1, "cross_entropy"),
    ]
    described = {name: trial.attack.describe() for name, trial in SUITES["quick"](MNIST).items()}
    assert (described["noise"]["draws"], described["square"]["queries"]) == (10, 200)
    assert budget("paper") == [("pgd40", 40, 1, "cross_entropy")]
    assert budget("strong") == [
        ("pgd", 40, 10, "cross_entropy"),
        ("pgd_margin", 40, 10, "margin"),
        ("fgsm", 1, 1, "cross_entropy"),
    ]


@pytest.mark.parametrize(("eps", "step"), [(0.3, 0.01), (0.03, 0.007)])
def test_the_papers_attack_has_its_steps_and_its_last_iterate(eps: float, step: float) -> None:
    attack = paper_attack(ThreatModel("linf", eps))
    assert attack.step_size == pytest.approx(step)
    assert (attack.keep, attack.stop_when_fooled, attack.random_start) == ("last", False, True)


def test_transfer_is_the_papers_attack() -> None:
    assert transfer(MNIST).attack.describe() == paper_attack(MNIST).describe()


def test_another_norm_takes_the_default_step() -> None:
    assert paper_attack(ThreatModel("l2", 2.0)).step_size == pytest.approx(2.5 * 2 / 40)


def told(suite: str, threat: ThreatModel) -> dict[str, dict[str, object]]:
    return {name: trial.attack.describe() for name, trial in SUITES[suite](threat).items()}


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_standard_is_autoattack_with_its_published_budgets(norm: str) -> None:
    budgets = told("standard", ThreatModel(norm, 0.3))
    assert list(budgets) == ["apgd_ce", "apgd_t", "fab_t", "square"]
    expected: dict[str, dict[str, object]] = {
        "apgd_ce": {"loss": "cross_entropy", "steps": 100, "restarts": 1, "rho": 0.75},
        "apgd_t": {"loss": "dlr_towards", "steps": 100, "restarts": 1, "targets": 9, "rho": 0.75},
        "fab_t": {"steps": 100, "restarts": 1, "targets": 9, "eta": 1.05, "beta": 0.9},
        "square": {"loss": "margin", "queries": 5000, "restarts": 1, "p_init": 0.8},
    }  # fmt: skip
    for name, settings in expected.items():
        assert {key: budgets[name][key] for key in settings} == settings
    assert not any(trial.alone for trial in SUITES["standard"](ThreatModel(norm, 0.3)).values())


def test_standard_in_l1_climbs_in_larger_balls_first() -> None:
    budgets = told("standard", ThreatModel("l1", 12))
    assert (budgets["apgd_ce"]["restarts"], budgets["apgd_ce"]["radii"]) == (5, [3, 2, 1])
    assert (budgets["apgd_t"]["targets"], budgets["apgd_t"]["radii"]) == (5, [3, 2, 1])
    assert (budgets["fab_t"]["targets"], budgets["square"]["queries"]) == (9, 5000)


def test_rand_averages_twenty_draws_a_step() -> None:
    budgets = told("rand", MNIST)
    assert [budget["samples"] for budget in budgets.values()] == [20, 20]
    inner = {"apgd_ce": "cross_entropy", "apgd_dlr": "dlr"}
    assert {name: budget["attack"] for name, budget in budgets.items()} == {
        name: APGD(MNIST, steps=100, loss=loss).describe() for name, loss in inner.items()
    }


def test_thorough_goes_on_after_standard() -> None:
    budgets = told("thorough", MNIST)
    assert list(budgets)[:4] == list(told("standard", MNIST))
    assert budgets["pgd_1000"]["steps"] == 1000
    restarts = {name: budgets[name]["restarts"] for name in ("apgd_ce_5", "apgd_dlr_5", "fab_t_5")}
    assert set(restarts.values()) == {5}
    assert (budgets["square_20000"]["queries"], budgets["square_20000"]["restarts"]) == (10_000, 2)

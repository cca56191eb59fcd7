import pytest

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

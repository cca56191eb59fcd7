import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from advprune.attacks import BlackBox, DecisionBased
from advprune.threat import ThreatModel

Y = torch.zeros(3, dtype=torch.int64)
X = torch.full((3, 1, 2, 2), 0.5) + torch.tensor([0.0, 0.05, 0.1]).view(3, 1, 1, 1)
BRIGHT = torch.ones(1, 1, 2, 2)


def above(level: float) -> Callable[[Tensor], Tensor]:
    """1 where the mean pixel exceeds the level, so that the smallest linf step is level - mean."""
    return lambda x: (x.mean((1, 2, 3)) > level).long()


def model(level: float = 0.7) -> BlackBox:
    return BlackBox(above(level), classes=2)


def test_it_fools_within_the_threat_by_classes_alone() -> None:
    attack = DecisionBased(ThreatModel("linf", 0.22), queries=1000, pool=BRIGHT)
    result = attack.run(model(), X, Y)
    assert result.fooled.all()
    assert result.backward_passes == 0


def test_what_lies_farther_than_eps_is_not_claimed() -> None:
    attack = DecisionBased(ThreatModel("linf", 0.12), queries=400, pool=BRIGHT)
    result = attack.run(model(), X, Y)
    assert result.fooled.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("norm", "method", "smallest"),
    [("linf", "hop_skip_jump", 0.2), ("l2", "boundary", 0.4)],
)
def test_the_perturbation_shrinks_towards_the_smallest(
    norm: str, method: str, smallest: float
) -> None:
    threat = ThreatModel(norm, 1.0)
    start = torch.tensor([1.0, 1.0, 1.0, 0.0]).view(1, 1, 2, 2)
    attack = DecisionBased(threat, method=method, queries=1000, stop_when_fooled=False, pool=start)
    found = attack.run(model(), X[:1], Y[:1])
    assert found.distance is not None
    distance = float(found.distance)
    assert distance == pytest.approx(float(threat.distance(found.x_adv, X[:1])))
    assert smallest < distance < 1.3 * smallest < float(threat.distance(start, X[:1]))


def test_queries_are_kept_to_and_counted() -> None:
    attack = DecisionBased(ThreatModel("linf", 0.01), queries=150, pool=BRIGHT)
    result = attack.run(model(), X, Y)
    assert result.forward_passes <= 1 + 3 * 150 + 3
    assert result.forward_passes > 3 * 100


def test_it_starts_from_noise_where_the_pool_has_nothing_and_gives_up_where_noise_has_not() -> None:
    threat = ThreatModel("linf", 0.2)
    assert DecisionBased(threat).run(model(0.6), X[1:2], Y[:1]).fooled.all()
    lost = DecisionBased(threat, queries=60).run(model(0.9999), X, Y)
    assert torch.equal(lost.x_adv, X)


def test_a_target_is_reached_and_what_is_wrong_already_stays() -> None:
    threat = ThreatModel("linf", 0.3)
    attack = DecisionBased(threat, queries=2000, pool=BRIGHT)
    assert attack.run(model(), X, Y, target=Y + 1).fooled.all()
    assert torch.equal(attack(model(0.4), X, Y), X)


def test_an_examples_result_and_the_global_random_state_are_its_own() -> None:
    attack = DecisionBased(ThreatModel("linf", 0.1), queries=150, pool=BRIGHT)
    before = torch.get_rng_state()
    together = attack(model(), X, Y)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(attack(model(), X[:2], Y[:2]), together[:2])


def test_a_model_of_random_answers_ends_the_walk() -> None:
    coin = BlackBox(lambda x: torch.randint(2, (len(x),)), classes=2)
    attack = DecisionBased(ThreatModel("linf", 0.1), queries=200, pool=BRIGHT)
    assert attack(coin, X, Y).shape == X.shape


def test_the_budget_is_told() -> None:
    budget = DecisionBased(ThreatModel("l2", 1.0), queries=99, gamma=2.0).describe()
    assert (budget["method"], budget["queries"]) == ("hop_skip_jump", 99)
    assert budget["settings"] == {"constraint": "l2", "steps": 99, "gamma": 2.0}


@pytest.mark.parametrize(
    ("norm", "settings", "message"),
    [
        ("linf", {"method": "boundary"}, "allowed are l2"),
        ("l1", {}, "allowed are linf, l2"),
        ("linf", {"method": "hopskip"}, "hop_skip_jump"),
        ("linf", {"gama": 1.0}, "gamma"),
        ("linf", {"queries": 0}, "queries=0"),
    ],
)
def test_impossible_settings_are_refused(
    norm: str, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        DecisionBased(ThreatModel(norm, 0.1), **settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bounds"):
        DecisionBased(ThreatModel("linf", 0.1, (-1, 1)))


def test_without_foolbox_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "foolbox.attacks", None)
    with pytest.raises(ImportError, match=r"advprune\[foolbox\]"):
        DecisionBased(ThreatModel("linf", 0.1))

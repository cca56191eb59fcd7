from collections.abc import Callable
from math import e
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from advprune import gates, pruning
from advprune.data import Splits
from advprune.gates import GatedModel
from advprune.threat import ThreatModel
from advprune.training import Training, phases, train
from advprune.training.budget import Controller, foreseen_macs, target, update
from advprune.training.parts import Budget

BUDGET = Budget(macs=0.25, settled_at=0.5)


def test_the_target_falls_by_the_same_factor_in_the_same_time() -> None:
    assert [target(BUDGET, p) for p in (0, 0.25, 0.5, 1)] == pytest.approx([1, 0.5, 0.25, 0.25])


def test_a_network_on_its_target_leaves_the_kl_as_it_is() -> None:
    assert update(Controller(), 0.5, BUDGET, progress=0.25, elapsed=0.01) == Controller(0, 1)


def test_too_large_a_network_raises_the_multiplier_the_more_the_longer() -> None:
    first = update(Controller(), 0.3, BUDGET, progress=0.5, elapsed=0.01)
    second = update(first, 0.3, BUDGET, progress=0.5, elapsed=0.01)
    assert 1 < first.multiplier < second.multiplier


def test_however_far_the_cost_is_off_the_multiplier_does_not_leap() -> None:
    assert update(Controller(), 1.0, BUDGET, progress=1, elapsed=0).multiplier == pytest.approx(e)
    assert update(Controller(), 0.01, BUDGET, progress=1, elapsed=0).multiplier < 0.001


def test_too_small_a_network_takes_the_pressure_off_faster_than_it_was_built_up() -> None:
    raised = update(Controller(), 0.5, BUDGET, progress=0.5, elapsed=0.01)
    lowered = update(raised, 0.125, BUDGET, progress=0.5, elapsed=0.01)
    assert lowered.multiplier < 1
    assert lowered.integral < -raised.integral


def test_pressure_that_was_taken_off_comes_back_as_fast() -> None:
    state = Controller(integral=-4.0)
    rises = [update(state, 0.5, BUDGET, 0.5, elapsed=0.01).integral + 4]
    rises += [update(Controller(), 0.5, BUDGET, 0.5, elapsed=0.01).integral]
    assert rises[0] == pytest.approx(10 * rises[1])


def test_a_dead_network_has_a_cost_too() -> None:
    assert update(Controller(), 0.0, BUDGET, progress=0.5, elapsed=0.01).multiplier < 0.01


def test_a_controlled_cost_comes_near_its_budget_whatever_the_strength_of_the_pressure() -> None:
    """Each step shrinks the cost by a share of the multiplier that nobody tuned, for good."""
    for strength in (0.003, 0.01, 0.1, 1.0):
        state, cost, steps = Controller(), 1.0, 400
        for step in range(steps):
            progress = step / steps
            state = update(state, cost, BUDGET, progress, elapsed=1 / steps)
            cost *= 1 - min(0.05, 0.01 * strength * state.multiplier)
        assert cost == pytest.approx(0.25, rel=0.1)


@pytest.mark.parametrize("beta", [0.001, 0.01])
def test_gates_come_near_their_budget_by_themselves_and_meet_it(
    beta: float,
    make_settings: Callable[..., Training],
    splits: Splits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever β is; settling single units at the phase's end is the last few percent."""
    unsettled = []

    def settle(gated: GatedModel, budget: float, *others: Any, **named: Any) -> None:
        unsettled.append(gated.structure.macs(gated.keep()) / budget)
        gates.settle(gated, budget, *others, **named)

    phase = {"on": "gated", "objective": "bayesian_pruning", "epochs": 50, "beta": beta}
    phase |= {"gate_learning_rate": 0.1, "schedule": "cosine", "budget": {"macs": 0.3}}
    settings = make_settings(phase, validation_every=50)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 100), nn.ReLU(), nn.Linear(100, 2))
    monkeypatch.setattr(phases, "settle", settle)
    trained = train(
        model, splits, ThreatModel("linf", 0.1), settings, out=tmp_path, slim=pruning.slim
    )
    assert isinstance(trained.model, GatedModel)
    assert 0.8 < unsettled[-1] < 1.3
    structure = trained.model.structure
    assert structure.macs(trained.model.keep()) == 0.3 * 100 * 18


def test_open_gates_cost_what_the_network_costs(chain: GatedModel) -> None:
    means = torch.ones(chain.structure.units)
    assert foreseen_macs(chain.structure, means) == chain.structure.macs()


def test_a_unit_on_its_way_to_death_counts_in_part(chain: GatedModel) -> None:
    structure = chain.structure
    dead, dying = torch.ones(structure.units), torch.ones(structure.units)
    dead[0], dying[0] = 1e-3, (1e-3 * 0.05) ** 0.5  # half way, in logarithms
    gone = foreseen_macs(structure, dead)
    assert gone == structure.macs(dead > 0.5)
    assert foreseen_macs(structure, dying) == pytest.approx((structure.macs() + gone) / 2)

import copy

import pytest
import torch

from advprune.gates import BetaBernoulli, GatedModel, gate, largest_share, settle
from advprune.models import build


@pytest.fixture(scope="module")
def lenet() -> GatedModel:
    torch.manual_seed(0)
    gated = gate(build("lenet5_caffe"), torch.rand(1, 1, 28, 28), per_position=("f1",))
    for module in gated.gates.values():
        assert isinstance(module, BetaBernoulli)
        module.raw_a.data.normal_(-6.0, 3.0)
    return gated


@pytest.mark.parametrize("share", [0.05, 0.1, 0.4, 0.9])
def test_lenet_meets_its_budget_within_two_percent(lenet: GatedModel, share: float) -> None:
    gated = copy.deepcopy(lenet)
    budget = share * 2_293_000
    settle(gated, budget)
    macs = gated.structure.macs(gated.keep())
    assert 0.98 * budget <= macs <= budget


def test_the_units_with_the_best_gates_stay(learned_chain: GatedModel) -> None:
    module = learned_chain.gates["conv2"]
    assert isinstance(module, BetaBernoulli)
    module.raw_a.data = torch.tensor([-3.0, 1.0, -2.0, 2.0])
    for name in ("conv1", "f1"):
        other = learned_chain.gates[name]
        assert isinstance(other, BetaBernoulli)
        other.raw_a.data.fill_(3.0)
    half = torch.tensor([True] * 3 + [False, True, False, True] + [True] * 5)
    settle(learned_chain, learned_chain.structure.macs(half))
    assert torch.equal(learned_chain.keep(), half)


def test_a_network_that_fits_is_left_open(learned_chain: GatedModel) -> None:
    before = copy.deepcopy(learned_chain.state_dict())
    settle(learned_chain, learned_chain.structure.macs())
    after = learned_chain.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_closed_units_come_back_while_they_fit(learned_positions: GatedModel) -> None:
    for module in learned_positions.gates.values():
        module.close(torch.ones(module.units, dtype=torch.bool))
    settle(learned_positions, learned_positions.structure.macs())
    assert bool(learned_positions.keep().all())


def test_an_impossible_budget_is_refused(learned_chain: GatedModel) -> None:
    least = 9 * 16 + 9 * 16 + 4 + 3  # one unit a group
    settle(copy.deepcopy(learned_chain), least)
    with pytest.raises(ValueError, match=f"takes {least} already"):
        settle(learned_chain, least - 1)


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_rounded_widths_stay_within_the_budget(lenet: GatedModel, share: float) -> None:
    gated = copy.deepcopy(lenet)
    settle(gated, share * 2_293_000, round_to=8)
    kept = gated.structure.split(gated.keep())
    widths = {name: int(kept[name].sum()) for name in ("conv1", "conv2", "f1")}
    assert all(width % 8 == 0 for width in widths.values()), widths
    assert 0.7 * share * 2_293_000 < gated.structure.macs(gated.keep()) <= share * 2_293_000


def test_a_width_that_has_no_multiple_stays_whole(learned_chain: GatedModel) -> None:
    settle(learned_chain, learned_chain.structure.macs(), round_to=100)
    assert bool(learned_chain.keep().all())


def test_a_budget_below_the_least_multiples_is_refused(learned_chain: GatedModel) -> None:
    with pytest.raises(ValueError, match="rounded to 2, a group takes"):
        settle(learned_chain, 9 * 16 + 9 * 16 + 4 + 3, round_to=2)


def test_the_largest_share_that_fits_is_found_by_halving() -> None:
    found = largest_share(lambda share: share <= 0.3)
    assert found is not None
    assert 0.29 < found <= 0.3
    assert largest_share(lambda share: True, top=0.4) == 0.4
    assert largest_share(lambda share: False) is None

import pytest
import torch
from torch import Tensor, nn

from advprune.gates import Fixed, GatedModel, gate
from advprune.pruning import Limit, close_to_widths, cut, read_limit
from advprune.pruning.ranked import close


def test_the_least_worth_for_their_cost_are_closed(chain: GatedModel) -> None:
    """A unit of conv1 takes 720 of 2,255 MACs, one of conv2 452, one of f1 19."""
    score = torch.tensor([5.0, 0.1, 5.0, 5.0, 5.0, 5.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    close(chain, score, chain.structure.macs() - 700)
    kept = {name: one.active().tolist() for name, one in chain.gates.items()}
    assert kept == {"conv1": [True, False, True], "conv2": [True] * 4, "f1": [True] * 5}


def test_widths_are_met_by_the_units_worth_most(chain: GatedModel) -> None:
    """Of two that are worth as much, the first stays."""
    score = torch.tensor([1.0, 3.0, 2.0, 5.0, 1.0, 5.0, 5.0, *range(5)])
    close_to_widths(chain, score, {"conv1": 1, "conv2": 2})
    kept = {name: one.active().tolist() for name, one in chain.gates.items()}
    assert kept["conv1"] == [False, True, False]
    assert kept["conv2"] == [True, False, True, False]
    assert kept["f1"] == [True] * 5


@pytest.mark.parametrize("width", [0, 4])
def test_widths_out_of_reach_are_refused(chain: GatedModel, width: int) -> None:
    with pytest.raises(ValueError, match=rf"widths\['conv1'\]={width}; allowed are 1 to 3"):
        close_to_widths(chain, torch.ones(12), {"conv1": width})
    with pytest.raises(ValueError, match="Unknown group of units 'conv9'"):
        close_to_widths(chain, torch.ones(12), {"conv9": 1})


def test_a_share_of_the_macs_is_met_by_the_cut_network(chain: GatedModel, images: Tensor) -> None:
    whole = chain.structure.macs()
    score = torch.arange(1.0, 1.0 + chain.structure.units)
    small = cut(chain, score, Limit(macs=0.4), images, lambda _: 0.0)
    assert 0.2 * whole < gate(small, images, "fixed").structure.macs() <= 0.4 * whole


def test_a_latency_is_met_by_measuring(chain: GatedModel, images: Tensor) -> None:
    """The clock of this test runs with the parameters."""

    def milliseconds(network: nn.Module) -> float:
        return sum(value.numel() for value in network.parameters()) / 100

    score = torch.tensor([3.0, 2.0, 1.0, 3.0, 2.0, 1.0, 0.5, 1.0, 1.0, 0.0, 0.0, 0.0])
    assert milliseconds(chain.model) == 2.51
    small = cut(chain, score, Limit(latency=1.2), images, milliseconds)
    assert 0.8 < milliseconds(small) <= 1.2
    with pytest.raises(ValueError, match=r"0\.01 ms: no network was so fast"):
        cut(chain, score, Limit(latency=0.01), images, milliseconds)


def test_a_latency_that_holds_already_cuts_nothing(chain: GatedModel, images: Tensor) -> None:
    score = torch.ones(chain.structure.units)
    cut(chain, score, Limit(latency=9.0), images, lambda _: 1.0)
    assert all(isinstance(one, Fixed) and bool(one.values.all()) for one in chain.gates.values())


def test_budgets_are_read() -> None:
    assert read_limit("macs=0.2") == Limit(macs=0.2)
    assert read_limit("latency = 2 ms") == Limit(latency=2.0, round_to=8)
    assert read_limit("latency=2ms", 4) == Limit(latency=2.0, round_to=4)


@pytest.mark.parametrize("text", ["macs=20", "macs=", "latency=0ms", "speed=3", "0.2", "macs=nan"])
def test_other_budgets_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"macs=SHARE in \(0, 1\], or latency=NUMBERms"):
        read_limit(text)


@pytest.mark.parametrize(("round_to", "expected"), [(1, [3, 3, 5]), (2, [3, 2, 5])])
def test_widths_are_multiples_of_what_the_limit_asks_for(
    chain: GatedModel, images: Tensor, round_to: int, expected: list[int]
) -> None:
    """A unit of conv2 takes a fifth of the MACs; where all units of a layer stay, they stay."""
    score = torch.tensor([9.0] * 3 + [1.0, 2.0, 3.0, 4.0] + [9.0] * 5)
    small = cut(chain, score, Limit(macs=0.81, round_to=round_to), images, lambda _: 0.0)
    widths = [len(small.get_parameter(f"{name}.weight")) for name in ("conv1", "conv2", "f1")]
    assert widths == expected

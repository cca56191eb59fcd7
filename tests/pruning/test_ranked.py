import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.gates import Fixed, GatedModel, gate
from advprune.pruning import Limit, cut, read_limit, worth
from advprune.pruning.ranked import close

Y = torch.tensor([0, 1, 2, 0, 1])


def shifted(_model: nn.Module, x: Tensor, _y: Tensor) -> Tensor:
    """Stands for an attack: darker images."""
    return x * 0.5


def closed_loss(gated: GatedModel, unit: int, step: float, x: Tensor, y: Tensor) -> Tensor:
    values = torch.ones(1, gated.structure.units, dtype=torch.float64)
    values[0, unit] -= step
    with torch.no_grad(), gated.board.holding(values):
        return sum(  # type: ignore[return-value]
            functional.cross_entropy(gated.model(images), y, reduction="none")
            for images in (x, shifted(gated, x, y))
        )


def test_a_unit_is_worth_what_the_losses_move_without_it(chain: GatedModel, images: Tensor) -> None:
    chain, x = chain.double(), images.double()
    found = worth(chain, [(x[:2], Y[:2]), (x[2:], Y[2:])], shifted)
    for unit in range(chain.structure.units):
        slope = closed_loss(chain, unit, 1e-6, x, Y) - closed_loss(chain, unit, -1e-6, x, Y)
        assert float(found[unit]) == pytest.approx(float((slope / 2e-6).abs().mean()), abs=1e-6)


def test_a_unit_that_nothing_reads_is_worth_nothing(chain: GatedModel, images: Tensor) -> None:
    chain.model.get_parameter("f2.weight").data[:, 1] = 0
    found = chain.structure.split(worth(chain, [(images, Y)], shifted))
    assert float(found["f1"][1]) == 0
    assert int((torch.cat(list(found.values())) > 0).sum()) >= 8


def test_modes_and_weights_are_left_alone(chain: GatedModel, images: Tensor) -> None:
    before = copy.deepcopy(chain.train().state_dict())
    worth(chain, [(images, Y)], shifted)
    assert chain.training
    assert all(torch.equal(value, before[name]) for name, value in chain.state_dict().items())
    assert all(parameter.grad is None for parameter in chain.parameters())


def test_the_least_worth_for_their_cost_are_closed(chain: GatedModel) -> None:
    """A unit of conv1 takes 720 of 2,255 MACs, one of conv2 452, one of f1 19."""
    score = torch.tensor([5.0, 0.1, 5.0, 5.0, 5.0, 5.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    close(chain, score, chain.structure.macs() - 700)
    kept = {name: one.active().tolist() for name, one in chain.gates.items()}
    assert kept == {"conv1": [True, False, True], "conv2": [True] * 4, "f1": [True] * 5}


def test_a_share_of_the_macs_is_met_by_the_cut_network(chain: GatedModel, images: Tensor) -> None:
    whole = chain.structure.macs()
    score = worth(chain, [(images, Y)], shifted)
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


def test_no_images_are_refused(chain: GatedModel) -> None:
    with pytest.raises(ValueError, match="no images"):
        worth(chain, [], shifted)


@pytest.mark.parametrize(("round_to", "expected"), [(1, [3, 3, 5]), (2, [3, 2, 5])])
def test_widths_are_multiples_of_what_the_limit_asks_for(
    chain: GatedModel, images: Tensor, round_to: int, expected: list[int]
) -> None:
    """A unit of conv2 takes a fifth of the MACs; where all units of a layer stay, they stay."""
    score = torch.tensor([9.0] * 3 + [1.0, 2.0, 3.0, 4.0] + [9.0] * 5)
    small = cut(chain, score, Limit(macs=0.81, round_to=round_to), images, lambda _: 0.0)
    widths = [len(small.get_parameter(f"{name}.weight")) for name in ("conv1", "conv2", "f1")]
    assert widths == expected

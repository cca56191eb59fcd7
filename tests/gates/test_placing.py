import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.gates import BetaBernoulli, GatedModel, gate
from advprune.models import build
from advprune.pruning import slim

IMAGES = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def lenet() -> GatedModel:
    return gate(build("lenet5_caffe"), torch.rand(1, 1, 28, 28), per_position=("f1",))


def test_lenet_has_the_units_of_the_paper(lenet: GatedModel) -> None:
    units = {name: module.units for name, module in lenet.gates.items()}
    assert units == {"conv1": 20, "conv2": 50, "f1": 500, "f1.inputs": 800}
    assert lenet.structure.units == 1370
    assert sum(count for name, count in units.items() if name != "f1.inputs") == 570


def test_vgg_has_the_units_of_the_paper() -> None:
    """A sixteenth of 64 to 512 channels, of the head's 512 units and of its 512 inputs."""
    gated = gate(build("vgg16", width=1 / 16), torch.rand(2, 3, 32, 32), per_position=("head.1",))
    units = [module.units for module in gated.gates.values()]
    assert units == [4, 4, 8, 8, 16, 16, 16, *[32] * 6, 32, 32]
    assert sum(units) == 5248 / 16
    assert [*gated.gates][-2:] == ["head.1", "head.1.inputs"]


def test_lenet_has_2293000_multiply_accumulates(lenet: GatedModel) -> None:
    by_hand = 24 * 24 * 25 * 20 + 8 * 8 * 25 * 20 * 50 + 800 * 500 + 500 * 10
    assert lenet.structure.macs() == by_hand == 2_293_000
    assert lenet.structure.macs(lenet.keep()) == 2_293_000


def test_the_given_model_is_left_as_it_was(make_chain: type[nn.Module]) -> None:
    model = make_chain().train()
    model.get_submodule("bn1").eval()
    state = copy.deepcopy(model.state_dict())
    gated = gate(model, IMAGES)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert [name for name, module in model.named_modules() if not module.training] == ["bn1"]
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert gated.training
    assert not gated.model.get_submodule("bn1").training  # the copy keeps each module's mode


def test_any_batch_size_will_do_as_example(make_chain: type[nn.Module]) -> None:
    assert gate(make_chain(), IMAGES[:1]).structure.units == 12


def test_options_reach_the_family(make_chain: type[nn.Module]) -> None:
    gated = gate(make_chain(), IMAGES, start=2.0)
    module = gated.gates["conv2"]
    assert isinstance(module, BetaBernoulli)
    assert module.mean()[0].item() == pytest.approx(0.6802, abs=1e-4)


def test_unknown_settings_are_refused_with_what_is_allowed(make_chain: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="did you mean 'fixed'"):
        gate(make_chain(), IMAGES, "fixt")
    with pytest.raises(ValueError, match="did you mean 'start'"):
        gate(make_chain(), IMAGES, stat=2.0)
    with pytest.raises(ValueError, match=r"per_position='conv2'.*\['f1', 'f2'\]"):
        gate(make_chain(), IMAGES, per_position=("conv2",))
    with pytest.raises(ValueError, match="has gates already"):
        gate(gate(make_chain(), IMAGES), IMAGES)


class Small(nn.Module):
    """A convolution, something else, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class ReadsFunctionally(Small):
    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv(x)).mean((2, 3))
        return functional.linear(x, self.fc.weight, self.fc.bias)


class FixesItsWidth(Small):
    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv(x)).mean((2, 3))
        logits: Tensor = self.fc(x.view(-1, 4))
        return logits


class SharesAWeight(Small):
    def __init__(self) -> None:
        super().__init__()
        self.tied = nn.Linear(4, 3)
        self.tied.weight = self.fc.weight

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv(x)).mean((2, 3))
        logits: Tensor = self.fc(x) + self.tied(x)
        return logits


def test_a_weight_that_is_read_without_its_layer_is_gated_in_the_graph() -> None:
    gated = gate(ReadsFunctionally(), IMAGES, "fixed").eval()
    gated.gates["conv"].close(torch.tensor([True, False, False, True]))
    torch.testing.assert_close(slim(gated, IMAGES)(IMAGES), gated(IMAGES))


def test_where_a_width_is_fixed_in_forward_the_graph_is_gated_and_cut() -> None:
    model = FixesItsWidth().eval()
    gated = gate(model, IMAGES, "fixed").eval()
    assert torch.equal(gated(IMAGES), model(IMAGES))
    gated.gates["conv"].close(torch.tensor([True, False, False, True]))
    expected, small = gated(IMAGES), slim(gated, IMAGES)
    torch.testing.assert_close(small(IMAGES), expected)
    assert small.get_parameter("fc.weight").shape == (3, 2)
    assert set(small.state_dict()) == set(model.state_dict())


def test_layers_that_share_a_weight_share_it_when_cut() -> None:
    gated = gate(SharesAWeight(), IMAGES, "fixed").eval()
    gated.gates["conv"].close(torch.tensor([True, False, False, True]))
    expected = gated(IMAGES)
    small = slim(gated, IMAGES)
    assert small.get_submodule("fc").weight is small.get_submodule("tied").weight
    torch.testing.assert_close(small(IMAGES), expected)


class Halves(nn.Module):
    """Both halves of all images, one block behind the other, go through the second layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 5, 1)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        left, right = functional.relu(self.first(x)).chunk(2, dim=3)
        both = functional.relu(self.second(torch.cat([left, right])))
        one, other = both.chunk(2)
        logits: Tensor = self.head((one + other).mean(dim=(2, 3)))
        return logits


class Reversed(Halves):
    """The second layer is given the examples last to first."""

    def forward(self, x: Tensor) -> Tensor:
        both = functional.relu(self.second(functional.relu(self.first(x)).flip(0))).flip(0)
        logits: Tensor = self.head(both.mean(dim=(2, 3)))
        return logits


@pytest.fixture
def lively_halves() -> Callable[[type[nn.Module]], nn.Module]:
    def made(kind: type[nn.Module]) -> nn.Module:
        model = kind()
        with torch.no_grad():  # no unit may be dead by chance
            for parameter in model.parameters():
                parameter.copy_(torch.linspace(0.1, 0.9, parameter.numel()).view_as(parameter))
        return model

    return made


def test_each_example_meets_its_own_gates_where_the_batch_is_merged(
    lively_halves: Callable[[type[nn.Module]], nn.Module],
) -> None:
    gated = gate(lively_halves(Halves), IMAGES, "fixed").eval()
    values = torch.rand(2, gated.structure.units)
    with gated.board.holding(values):
        together = gated.model(IMAGES)
    for image, one, found in zip(IMAGES, values, together, strict=True):
        with gated.board.holding(one[None]):
            torch.testing.assert_close(gated.model(image[None])[0], found)


def test_a_batch_in_another_order_is_refused(
    lively_halves: Callable[[type[nn.Module]], nn.Module],
) -> None:
    with pytest.raises(ValueError, match="Reversed mixes the examples of a batch"):
        gate(lively_halves(Reversed), IMAGES)


def test_a_network_whose_inputs_were_chosen_one_by_one_is_gated_again() -> None:
    gated = gate(build("lenet5_caffe"), torch.rand(1, 1, 28, 28), "fixed", ("f1",)).eval()
    gated.gates["f1.inputs"].close(torch.arange(800) % 3 == 0)
    x = torch.rand(2, 1, 28, 28)
    small = slim(gated, x)
    again = gate(small, x, "fixed").eval()
    assert list(again.gates) == ["conv1", "f1"]
    assert again.structure.blocked["conv2"] == "f1 chooses among its inputs itself"
    torch.testing.assert_close(again(x), small(x))


class HalfFixed(Small):
    """Picks channels by numbers, which no cut rewrites; behind them is a hidden layer."""

    order: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, 5)
        self.fc = nn.Linear(5, 3)
        self.register_buffer("order", torch.tensor([3, 1, 0, 2]))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv(x)).mean((2, 3))[:, self.order]
        logits: Tensor = self.fc(functional.relu(self.hidden(x)))
        return logits


def test_only_the_groups_that_cannot_be_cut_stay_and_say_why() -> None:
    gated = gate(HalfFixed().eval(), IMAGES, "fixed").eval()
    assert isinstance(gated.model, HalfFixed)
    assert list(gated.gates) == ["hidden"]
    assert "without some of it is not the same" in gated.structure.blocked["conv"]
    gated.gates["hidden"].close(torch.arange(5) % 2 == 0)
    torch.testing.assert_close(slim(gated, IMAGES)(IMAGES), gated(IMAGES))

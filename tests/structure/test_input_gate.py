import copy

import pytest
import torch
from torch import Tensor, nn

from advprune.evaluation import cost
from advprune.structure import graph_network
from advprune.structure.input_gate import InputGate, attach, dimensions, grouped_means, means


def test_a_channels_gate_is_an_affine_map_of_its_mean_clipped() -> None:
    gate = InputGate(torch.tensor([2.0, 1.0, -1.0]), torch.tensor([0.1, 0.5, 0.0]))
    x = torch.tensor([[[[0.1, 0.3]], [[1.0, 2.0]], [[1.0, 1.0]]]])  # means 0.2, 1.5 and 1
    assert gate(x).shape == (1, 3, 1, 1)
    torch.testing.assert_close(gate(x).flatten(), torch.tensor([0.5, 1.0, 0.0]))


def test_positions_of_a_flattened_channel_share_its_gate() -> None:
    gate = InputGate(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.5]))
    found = gate(torch.tensor([[0.2, 0.6, 0.0, 0.2]]))  # units 0, 0, 1, 1
    torch.testing.assert_close(found, torch.tensor([[0.4, 0.4, 0.6, 0.6]]))


def test_channels_in_any_order_are_told_by_an_index() -> None:
    index = torch.tensor([1, 0, 1, 1])
    gate = InputGate(torch.ones(2), torch.zeros(2), index=index)
    found = gate(torch.tensor([[0.3, 0.7, 0.0, 0.6]]))
    torch.testing.assert_close(found, torch.tensor([[0.3, 0.7, 0.3, 0.3]]))


def test_channels_may_lie_last() -> None:
    gate = InputGate(torch.ones(2), torch.zeros(2), dimension=-1)
    found = gate(torch.tensor([[[0.1, 0.5], [0.3, 0.7]]]))  # one image of two tokens
    torch.testing.assert_close(found, torch.tensor([[[0.2, 0.6]]]))


def test_means_run_over_all_that_an_example_has_of_a_unit() -> None:
    x = torch.arange(12.0).view(1, 2, 2, 3)
    assert means(x, 1).tolist() == [[2.5, 8.5]]
    assert means(x, -1).tolist() == [[4.5, 5.5, 6.5]]
    found = grouped_means(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([0, 2, 2]), 3)
    assert found.tolist() == [[1.0, 0.0, 3.0]]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))


def gate(*shift: float) -> InputGate:
    return InputGate(torch.zeros(len(shift)), torch.tensor(shift))


def test_a_layer_reads_through_the_product_of_its_gates() -> None:
    net, x = network(), torch.rand(2, 1, 2, 2)
    expected = net[1](x.flatten(1) * torch.tensor([0.1, 0.2, 0.15, 0.3]))
    attach(net, {"1": [gate(0.2, 0.4, 0.3, 0.6), gate(0.5)]})
    torch.testing.assert_close(net(x), expected)
    assert dimensions(net) == {"1": [1, 1]}
    assert dimensions(network()) == {}


def test_a_copy_has_gates_of_its_own() -> None:
    net, x = network(), torch.rand(2, 1, 2, 2)
    attach(net, {"1": [gate(1.0, 1.0, 1.0, 1.0)]})
    twin = copy.deepcopy(net)
    twin.get_parameter("input_gates.1.0.bias").data.zero_()
    torch.testing.assert_close(net(x), network()(x))
    assert torch.equal(twin(x), net.get_parameter("1.bias").expand(2, -1))


def test_gates_are_counted() -> None:
    net, x = network(), torch.rand(2, 1, 2, 2)
    plain = cost(net, x)
    attach(net, {"1": [gate(1.0, 1.0, 1.0, 1.0)]})
    found = cost(net, x)
    assert (found.macs - plain.macs, found.parameters - plain.parameters) == (4, 8)


@pytest.mark.parametrize("index", [None, [0, 1, 1, 0]])
def test_the_graph_works_for_any_batch_size(index: list[int] | None) -> None:
    net = network()
    order = None if index is None else torch.tensor(index)
    attach(net, {"1": [InputGate(torch.tensor([0.5, 2.0]), torch.zeros(2), index=order)]})
    twin, x = graph_network(net, torch.rand(2, 1, 2, 2)), torch.rand(3, 1, 2, 2)
    torch.testing.assert_close(twin(x), net(x))
    assert cost(twin, x) == cost(net, x)


def test_making_gates_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    gate(1.0, 2.0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_has_such_gates_once(images: Tensor) -> None:
    net = network()
    attach(net, {"1": [gate(1.0)]})
    with pytest.raises(ValueError, match="input_gates already"):
        attach(net, {"1": [gate(1.0)]})

import torch
from torch import Tensor

from advprune.gates import BetaBernoulli, CurrentNetwork, Fixed, GatedModel, remove


def test_it_equals_the_gated_network_in_outputs_and_input_gradients(
    gated: GatedModel, images: Tensor
) -> None:
    for kind, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        model = gated.to(kind)
        x, same = (images.to(kind, copy=True).requires_grad_() for _ in range(2))
        logits, cut = model(x), CurrentNetwork(model).refreshed()(same)
        logits.logsumexp(1).sum().backward()
        cut.logsumexp(1).sum().backward()
        assert x.grad is not None
        assert same.grad is not None
        for expected, found in ((logits, cut), (x.grad, same.grad)):
            difference = (expected - found).abs().max() / expected.abs().max()
            assert float(difference.detach()) <= tolerance


def test_it_is_plain_frozen_and_in_eval_mode(learned_chain: GatedModel) -> None:
    network = CurrentNetwork(learned_chain.train()).refreshed()
    assert not any(value.requires_grad for value in network.parameters())
    assert not any(module.training for module in network.modules())
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert learned_chain.training


def test_it_follows_weights_and_gates(learned_chain: GatedModel, images: Tensor) -> None:
    current = CurrentNetwork(learned_chain)
    network = current.refreshed()
    with torch.no_grad():
        for value in learned_chain.parameters():
            value.add_(0.1)
    assert current.refreshed() is network
    torch.testing.assert_close(network(images), learned_chain(images))


def test_it_shrinks_when_a_gate_dies_and_when_units_are_removed(
    learned_chain: GatedModel, images: Tensor
) -> None:
    current = CurrentNetwork(learned_chain)
    current.refreshed()
    module = learned_chain.gates["conv2"]
    assert isinstance(module, BetaBernoulli)
    module.close(torch.tensor([True, False, False, False]))
    network = current.refreshed()
    assert network.get_parameter("conv2.weight").shape == (3, 3, 3, 3)
    assert network.get_parameter("f1.weight").shape == (5, 12)
    torch.testing.assert_close(network(images), learned_chain(images))
    remove(learned_chain, learned_chain.keep())
    torch.testing.assert_close(current.refreshed()(images), learned_chain(images))


def test_positions_closed_by_themselves_are_folded_not_cut(
    positions: GatedModel, images: Tensor
) -> None:
    gate = positions.gates["f1.inputs"]
    assert isinstance(gate, Fixed)
    gate.values[3] = 0
    network = CurrentNetwork(positions).refreshed()
    assert network.get_parameter("f1.weight").shape == (5, 16)
    torch.testing.assert_close(network(images), positions(images))

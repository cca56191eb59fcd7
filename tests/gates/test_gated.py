import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from advprune.gates import BetaBernoulli, Fixed, GatedModel
from advprune.gates.gated import drop_gates


def set_gate(gated: GatedModel, name: str, values: Sequence[float]) -> None:
    gate = gated.gates[name]
    assert isinstance(gate, Fixed)
    gate.values.copy_(torch.tensor(values))


def test_open_gates_change_nothing(chain: GatedModel, images: Tensor) -> None:
    assert torch.equal(chain(images), chain.model(images))
    assert torch.equal(chain.train()(images), chain.model(images))


def test_a_gate_multiplies_what_the_reader_of_its_group_reads(
    chain: GatedModel, images: Tensor
) -> None:
    set_gate(chain, "f1", [0.5, 0, 1, 2, 0.25])
    by_hand = copy.deepcopy(chain.model)
    f2 = by_hand.get_submodule("f2")
    assert isinstance(f2, nn.Linear)
    f2.weight.data *= torch.tensor([0.5, 0, 1, 2, 0.25])
    torch.testing.assert_close(chain(images), by_hand(images))


def test_the_gate_of_a_flattened_channel_acts_on_all_its_positions(
    positions: GatedModel, images: Tensor
) -> None:
    set_gate(positions, "conv2", [1, 0, 0.5, 1])
    by_channel = positions(images)
    set_gate(positions, "conv2", [1, 1, 1, 1])
    assert not torch.allclose(positions(images), by_channel)
    set_gate(positions, "f1.inputs", [1.0] * 4 + [0.0] * 4 + [0.5] * 4 + [1.0] * 4)
    torch.testing.assert_close(positions(images), by_channel)


def test_samples_differ_in_train_mode_and_do_not_in_eval_mode(
    learned_chain: GatedModel, images: Tensor
) -> None:
    learned_chain.model.requires_grad_(False)
    learned_chain.train()
    assert not torch.equal(learned_chain(images), learned_chain(images))
    learned_chain.eval()
    assert torch.equal(learned_chain(images), learned_chain(images))


def test_two_readers_share_one_sample(residual: GatedModel) -> None:
    """The sum of stem and block is read by the block's first layer, the next one's, a shortcut."""
    seen = []
    residual.gate_list[0] = BetaBernoulli(4)
    for name in ("wider.conv1", "wider.shortcut.0"):
        module = residual.model.get_submodule(name)
        module.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    residual.train()
    residual(torch.rand(3, 1, 4, 4))
    assert torch.equal(seen[0], seen[1])


def test_the_model_itself_runs_without_gates_between_and_after_failing_passes(
    chain: GatedModel, images: Tensor
) -> None:
    set_gate(chain, "conv1", [0, 0, 0.5])
    plain = chain.model(images)
    with pytest.raises(RuntimeError):
        chain(torch.rand(2, 7, 4, 4))
    assert chain.board.values is None
    assert torch.equal(chain.model(images), plain)
    assert not torch.allclose(chain(images), plain)


def test_a_deep_copy_has_gates_of_its_own(chain: GatedModel, images: Tensor) -> None:
    before = chain(images)
    twin = copy.deepcopy(chain)
    set_gate(twin, "conv1", [0, 0, 0.5])
    assert not torch.allclose(twin(images), before)
    assert torch.equal(chain(images), before)


def test_weights_and_gates_are_apart(learned_chain: GatedModel) -> None:
    weights, gates = learned_chain.weight_parameters(), learned_chain.gate_parameters()
    assert len(weights) == 10  # two convolutions, batch norm, two linear layers
    assert sorted(len(value) for value in gates) == [3, 3, 4, 4, 5, 5]
    every = [*weights, *gates]
    assert {id(value) for value in every} == {id(value) for value in learned_chain.parameters()}
    learned_chain.model.get_submodule("f1").requires_grad_(False)
    assert len(learned_chain.weight_parameters()) == 8


def test_the_divergence_is_the_sum_over_gates_and_may_be_weighted(
    learned_chain: GatedModel,
) -> None:
    assert learned_chain.kl().item() == pytest.approx(12 * 7.05, abs=0.05)
    one = torch.zeros(12)
    one[4] = 2.0
    assert learned_chain.kl(one).item() == pytest.approx(2 * 7.05, abs=0.01)


def test_a_channel_goes_when_all_its_positions_are_closed(positions: GatedModel) -> None:
    set_gate(positions, "f1.inputs", [0] * 4 + [1, 0, 0, 0] + [1] * 8)
    keep = positions.structure.split(positions.keep())
    assert keep["conv2"].tolist() == [False, True, True, True]
    assert keep["conv1"].all()


def test_the_positions_of_a_closed_channel_go_with_it(positions: GatedModel) -> None:
    set_gate(positions, "conv2", [1, 0, 1, 1])
    keep = positions.structure.split(positions.keep())
    assert keep["f1.inputs"].tolist() == [True] * 4 + [False] * 4 + [True] * 8


def test_no_layer_is_ever_left_without_input(positions: GatedModel, images: Tensor) -> None:
    for gate in positions.gates.values():
        assert isinstance(gate, Fixed)
        gate.values.zero_()
    kept = {name: int(k.sum()) for name, k in positions.structure.split(positions.keep()).items()}
    assert kept == {"conv1": 1, "conv2": 1, "f1": 1, "f1.inputs": 1}
    expected = positions.model.get_submodule("f2").bias
    assert torch.equal(positions(images), expected.expand(5, 3))  # type: ignore[operator]


def test_the_best_unit_of_an_empty_group_stays(learned_chain: GatedModel) -> None:
    gate = learned_chain.gates["conv1"]
    assert isinstance(gate, BetaBernoulli)
    with torch.no_grad():
        gate.raw_a.copy_(torch.tensor([-9.0, -8.0, -9.5]))
    keep = learned_chain.structure.split(learned_chain.keep())
    assert keep["conv1"].tolist() == [False, True, False]


def test_dropping_gates_leaves_other_hooks(chain: GatedModel) -> None:
    conv2 = chain.model.get_submodule("conv2")
    conv2.register_forward_pre_hook(lambda *_: None)
    assert len(conv2._forward_pre_hooks) == 2
    drop_gates(chain.model)
    assert len(conv2._forward_pre_hooks) == 1


def test_gates_follow_the_type_of_the_model(chain: GatedModel, images: Tensor) -> None:
    assert chain.double()(images.double()).dtype == torch.float64

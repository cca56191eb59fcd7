import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.gates import BetaBernoulli, Fixed, GatedModel, gate
from advprune.models import build
from advprune.pruning import SlimError, slim
from advprune.structure import SelectedLinear


def close(gated: GatedModel, name: str, units: list[int]) -> None:
    module = gated.gates[name]
    module.close(torch.isin(torch.arange(module.units), torch.tensor(units)))


@pytest.mark.parametrize("seed", range(5))
def test_random_gates_give_an_equal_and_smaller_network(
    gated: GatedModel, images: Tensor, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    for module in gated.gates.values():
        assert isinstance(module, Fixed)
        values = torch.rand(module.units, generator=generator)
        module.values.copy_(torch.where(values < seed / 5, torch.zeros_like(values), values))
    for kind, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        model, x = gated.to(kind), images.to(kind)
        small, expected = slim(model, x), model(x)
        difference = (small(x) - expected).abs().max() / expected.abs().max()
        assert float(difference.detach()) <= tolerance
    kept, total = gated.keep().sum(), gated.structure.units
    parameters = [sum(p.numel() for p in net.parameters()) for net in (small, gated.model)]
    assert (parameters[0] < parameters[1]) == bool(kept < total)


def test_learned_gates_give_an_equal_network(learned_positions: GatedModel, images: Tensor) -> None:
    torch.manual_seed(0)
    for module in learned_positions.gates.values():
        assert isinstance(module, BetaBernoulli)
        module.raw_a.data.normal_(-5.0, 4.0)
    small = slim(learned_positions, images)
    torch.testing.assert_close(small(images), learned_positions(images), rtol=1e-5, atol=1e-6)


def test_the_slim_model_is_plain_and_of_the_same_class(
    chain: GatedModel, images: Tensor, make_chain: type[nn.Module]
) -> None:
    close(chain, "conv1", [0])
    close(chain, "conv2", [1, 2])
    small = slim(chain, images)
    assert type(small) is make_chain
    assert not any(module._forward_pre_hooks for module in small.modules())
    shapes = {name: tuple(value.shape) for name, value in small.named_parameters()}
    assert shapes["conv1.weight"] == (2, 1, 3, 3)
    assert shapes["bn1.weight"] == (2,)
    assert shapes["conv2.weight"] == (2, 2, 3, 3)
    assert shapes["f1.weight"] == (5, 8)
    conv2 = small.get_submodule("conv2")
    assert isinstance(conv2, nn.Conv2d)
    assert (conv2.in_channels, conv2.out_channels) == (2, 2)


def test_the_slim_model_can_be_copied_and_trained_on(gated: GatedModel, images: Tensor) -> None:
    small = slim(gated.train(), images)
    assert small.training
    twin = copy.deepcopy(small.eval())
    optimiser = torch.optim.SGD(small.parameters(), lr=0.1)
    y = torch.tensor([0, 1, 2, 0, 1])
    before = functional.cross_entropy(small.train()(images), y)
    for _ in range(5):
        optimiser.zero_grad()
        torch.autograd.backward(functional.cross_entropy(small(images), y))
        optimiser.step()
    assert functional.cross_entropy(small(images), y) < before
    assert not torch.equal(twin(images), small.eval()(images))


def test_slimming_leaves_the_gated_model_and_its_modes(gated: GatedModel, images: Tensor) -> None:
    before = copy.deepcopy(gated.state_dict())
    gated.train()
    frozen = next(module for module in gated.modules() if isinstance(module, nn.BatchNorm2d))
    frozen.eval()
    slim(gated, images)
    assert gated.training
    assert not frozen.training
    assert all(torch.equal(value, before[name]) for name, value in gated.state_dict().items())


def test_frozen_parameters_stay_frozen(chain: GatedModel, images: Tensor) -> None:
    chain.model.get_submodule("conv1").requires_grad_(False)
    small = slim(chain, images)
    frozen = [name for name, value in small.named_parameters() if not value.requires_grad]
    assert frozen == ["conv1.weight", "conv1.bias"]


def test_inputs_closed_one_by_one_are_picked(positions: GatedModel, images: Tensor) -> None:
    close(positions, "conv2", [0])
    close(positions, "f1.inputs", [5, 6, 15])
    small = slim(positions, images)
    f1 = small.get_submodule("f1")
    assert isinstance(f1, SelectedLinear)
    assert f1.index.tolist() == [0, 3, 4, 5, 6, 7, 8, 9, 10]
    assert f1.weight.shape == (5, 9)


def test_widths_are_rounded_up_as_far_as_units_reach(
    learned_positions: GatedModel, images: Tensor
) -> None:
    close(learned_positions, "conv1", [0])
    close(learned_positions, "conv2", [0])
    close(learned_positions, "f1", [0, 1, 2])
    small = slim(learned_positions, images, round_to=4)
    widths = [len(small.get_parameter(f"{name}.weight")) for name in ("conv1", "conv2", "f1")]
    assert widths == [3, 4, 4]


def test_the_architecture_says_which_inputs_are_picked() -> None:
    images = torch.rand(2, 1, 8, 8)
    gated = gate(build("small_cnn", widths=[2, 3, 4]), images, "fixed", per_position=("f1",))
    close(gated, "f1.inputs", list(range(40)))
    small = slim(gated, images)
    architecture = small.architecture
    assert architecture["selected"] == {"f1": list(range(8, 16))}  # type: ignore[index]
    assert architecture["arguments"]["widths"] == [2, 3, 4]  # type: ignore[index]
    assert "selected" not in gated.model.architecture  # type: ignore[operator]


def test_a_network_that_does_not_compute_the_same_is_not_given_out(
    chain: GatedModel, images: Tensor
) -> None:
    chain.model.get_submodule("f2").register_forward_pre_hook(
        lambda _module, inputs: (inputs[0] + (chain.board.values is None),)
    )
    with pytest.raises(SlimError, match="logits differ by"):
        slim(chain, images)


def test_outputs_that_are_no_numbers_are_not_equal(chain: GatedModel, images: Tensor) -> None:
    chain.model.get_parameter("f2.bias").data[0] = torch.nan
    with pytest.raises(SlimError, match="nan"):
        slim(chain, images)


@pytest.mark.parametrize("round_to", [0, 1.5])
def test_widths_are_rounded_to_whole_numbers(
    chain: GatedModel, images: Tensor, round_to: int
) -> None:
    with pytest.raises(ValueError, match=f"round_to={round_to}"):
        slim(chain, images, round_to=round_to)


def test_a_model_without_gates_is_refused(chain: GatedModel, images: Tensor) -> None:
    with pytest.raises(ValueError, match="has no gates"):
        slim(chain.model, images)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["vgg16", "resnet18"])
def test_large_networks_are_cut_exactly_behind_batch_norm(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    model = build(name, width=0.05).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                tensor.data.uniform_(0.1, 1.0, generator=generator)
    images = torch.rand(2, 3, 32, 32, generator=generator)
    gated = gate(model, images, "fixed")
    for module in gated.gates.values():
        assert isinstance(module, Fixed)
        module.values.copy_(torch.rand(module.units, generator=generator))
        module.values[: module.units // 3] = 0
    small, expected = slim(gated, images), gated(images)
    assert float(((small(images) - expected).abs().max() / expected.abs().max()).detach()) <= 1e-5
    assert len(list(small.parameters())) == len(list(model.parameters()))
    assert sum(p.numel() for p in small.parameters()) < 0.7 * sum(
        p.numel() for p in model.parameters()
    )

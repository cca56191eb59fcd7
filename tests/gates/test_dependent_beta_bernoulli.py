import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from advprune.evaluation import cost
from advprune.gates import (
    BetaBernoulli,
    CurrentNetwork,
    DependentBetaBernoulli,
    Gate,
    GatedModel,
    paired,
    remove,
)
from advprune.gates.passing import Passing
from advprune.pruning import slim
from advprune.shipping import export, load, save
from advprune.structure import recalibrate
from advprune.structure.input_gate import InputGate
from advprune.vulnerability import vulnerability


def dependent(known: GatedModel) -> GatedModel:
    """The same network with such gates, their statistics and parameters moved off their start."""
    gates: dict[str, Gate] = {
        name: DependentBetaBernoulli(group.units, start=2.0)
        for name, group in known.structure.groups.items()
    }
    made = GatedModel(copy.deepcopy(known.model), known.structure, gates).requires_grad_(False)
    generator = torch.Generator().manual_seed(5)
    for module in made.modules():
        if isinstance(module, Passing):
            module.bias.copy_(torch.randn(len(module.bias), generator=generator) * 0.5 + 0.5)
            module.weight.copy_(torch.randn(len(module.bias), generator=generator) * 0.3)
    recalibrate(made, [torch.rand(50, 1, 4, 4, generator=generator)])
    return made.requires_grad_().eval()


@pytest.fixture(params=["chain", "positions", "residual"])
def gated(request: pytest.FixtureRequest) -> GatedModel:
    return dependent(request.getfixturevalue(request.param))


def test_a_unit_is_what_its_two_gates_let_through(chain: GatedModel, images: Tensor) -> None:
    gated = dependent(chain)
    found: list[Tensor] = []
    layer = gated.model.get_submodule("f2")
    before: list[Tensor] = []
    layer._forward_pre_hooks.clear()
    layer.register_forward_pre_hook(lambda _module, given: before.append(given[0]))
    gated(images)
    h = before[0]
    gate = gated.gates["f1"]
    passing = gate.passings["f2"]
    assert isinstance(passing, Passing)
    scale, shift = passing.line()
    expected = h * (scale * h + shift).clamp(0, 1) * gate.mean()
    again = dependent(chain)
    again.model.get_submodule("f2").register_forward_pre_hook(
        lambda _module, given: found.append(given[0])
    )
    again(images)
    torch.testing.assert_close(found[0], expected)


def test_the_slim_network_is_the_gated_one_with_small_gates(
    gated: GatedModel, images: Tensor
) -> None:
    for name in ("conv1", "conv2", "f1", "f1.inputs", "same.conv1", "wider.conv1"):
        if name in gated.gates:
            gated.gates[name].close(torch.arange(gated.gates[name].units) == 1)
    gated, x = gated.double(), images.double()
    small = slim(gated, x)
    assert float((small(x) - gated(x)).detach().abs().max() / gated(x).abs().max()) <= 1e-10
    small.train()(x).sum().backward()
    gates = [module for module in small.modules() if isinstance(module, InputGate)]
    assert gates
    assert all(gate.weight.grad is not None for gate in gates)


def test_a_unit_that_no_example_opens_is_cut(chain: GatedModel, images: Tensor) -> None:
    gated = dependent(chain)
    for passing in gated.gates["conv2"].passings.values():
        assert isinstance(passing, Passing)
        passing.weight.data[2] = 0.01
        passing.bias.data[2] = -1.0
    recalibrate(gated, [images])
    assert gated.gates["conv2"].mean()[2] > 0.5
    assert gated.keep()[gated.structure.groups["conv2"].span].tolist() == [True, True, False, True]
    small = slim(gated, images)
    assert small.get_parameter("conv2.weight").shape == (3, 3, 3, 3)
    assert gated.structure.macs(gated.keep()) + gates_of(small) == cost(small, images).macs


def gates_of(small: torch.nn.Module) -> int:
    return sum(len(gate.weight) for gate in small.modules() if isinstance(gate, InputGate))


def test_removed_units_take_their_gates_along(gated: GatedModel, images: Tensor) -> None:
    for gate in gated.gates.values():
        gate.close(torch.arange(gate.units) == 0)
    expected = gated(images)
    remove(gated, gated.keep())
    torch.testing.assert_close(gated(images), expected, rtol=1e-5, atol=1e-6)
    gated.train()(images)


def test_the_network_that_attacks_run_on_follows_training(
    gated: GatedModel, images: Tensor
) -> None:
    current = CurrentNetwork(gated)
    current.refreshed()
    for parameter in gated.gate_parameters():
        parameter.data += 0.05
    recalibrate(gated, [images])
    torch.testing.assert_close(current.refreshed()(images), gated(images), rtol=1e-5, atol=1e-6)


def test_the_slim_network_is_saved_loaded_and_exported(
    positions: GatedModel, images: Tensor, tmp_path: Path
) -> None:
    small = slim(dependent(positions), images)
    save(small, tmp_path / "model")
    again = load(tmp_path / "model")
    torch.testing.assert_close(again(images), small(images))
    assert cost(again, images) == cost(small, images)
    assert export(small, tmp_path / "model.onnx", images).parity.same_top1 == 1


def test_before_and_after_the_cut_features_are_taken_where_the_gates_act(
    chain: GatedModel, images: Tensor
) -> None:
    gated, moved = dependent(chain), images * 0.9
    found = [vulnerability(net, images, moved).relative for net in (gated, slim(gated, images))]
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert vulnerability(gated, images, images).network == 0


def test_each_example_has_gates_of_its_own_and_counterparts_share_them(
    chain: GatedModel, images: Tensor
) -> None:
    gated = dependent(chain)
    torch.testing.assert_close(gated(images)[:1], gated(images[:1]))
    gated.train()
    first, second = paired(gated, images, images)
    assert torch.equal(first, second)
    assert not torch.equal(gated(images), gated(images))


def test_the_divergence_adds_that_of_every_reader(residual: GatedModel) -> None:
    gate = dependent(residual).gates["stem"]
    passings = [passing for passing in gate.passings.values() if isinstance(passing, Passing)]
    assert len(passings) == 3
    expected = BetaBernoulli(4, start=2.0).kl_per_unit()
    torch.testing.assert_close(
        gate.kl_per_unit(), expected + sum(passing.kl_per_unit() for passing in passings)
    )


def test_a_prior_is_positive() -> None:
    with pytest.raises(ValueError, match="prior=0"):
        DependentBetaBernoulli(1, prior=0.0)

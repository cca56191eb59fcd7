"""Every architecture of the kit goes through the same checks.

One that starts to be gated fails `test_it_is_refused_and_says_why`, which then tells the share of
its MACs that can go: set that as its floor where it is registered, and drop its `refused`.
"""

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from tests.architectures.kit import ARCHITECTURES, Architecture
from torch import Tensor, nn
from torch.nn import functional
from torch.onnx._internal.exporter import _registration

from advprune.evaluation import cost
from advprune.gates import BetaBernoulli, Fixed, GatedModel, gate
from advprune.pruning import slim
from advprune.shipping import export, load, save

GATED = [each for each in ARCHITECTURES.values() if each.refused is None]
REFUSED = [each for each in ARCHITECTURES.values() if each.refused is not None]


@pytest.fixture(scope="module", params=GATED, ids=lambda each: each.name)
def each(request: pytest.FixtureRequest) -> Architecture:
    found: Architecture = request.param
    return found


@pytest.fixture
def gated(each: Architecture) -> GatedModel:
    return copy.deepcopy(_gated(each))


@cache
def _gated(each: Architecture) -> GatedModel:
    return gate(each.model(), each.images(1), "fixed").eval()


def _chosen(*names: str) -> pytest.MarkDecorator:
    """What costs an export each is done with those that differ most."""
    chosen = [ARCHITECTURES[name] for name in names]
    return pytest.mark.parametrize("each", chosen, ids=lambda each: each.name, indirect=True)


def test_open_gates_change_nothing(each: Architecture, gated: GatedModel) -> None:
    model, x = each.model().double(), each.images().double()
    torch.testing.assert_close(gated.double()(x), model(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("closed", [0.3, 0.7])
def test_random_gates_give_an_equal_network(
    each: Architecture, gated: GatedModel, closed: float
) -> None:
    _set(gated, closed)
    for kind, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        model, x = gated.to(kind), each.images().to(kind)
        small = slim(model, x)
        assert _difference(small(x), model(x)) <= tolerance
    assert cost(small, x).macs < cost(each.model(), x).macs
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in small.modules())


def test_a_large_share_of_the_work_can_go(each: Architecture, gated: GatedModel) -> None:
    found = _removable(each, gated)
    assert each.floor is not None, f"{each.name}: {found:.3f} of the MACs can go; set its floor"
    assert found >= each.floor


def test_gradients_reach_all_gates_and_weights(each: Architecture, gated: GatedModel) -> None:
    _set(gated, 0.0)
    model, gated, x = each.model().double(), gated.double(), each.images().double()
    for network in (model, gated.model):
        _wake(network)
    for one in gated.gates.values():
        values = nn.Parameter(one._buffers.pop("values"))  # type: ignore[arg-type]
        one.register_parameter("values", values)
    for network in (model, gated):
        output = network(x)
        output.backward(torch.linspace(-1, 1, output.numel()).view_as(output))
    for name, one in gated.gates.items():
        assert _moves(one.get_parameter("values").grad), name
    for name, parameter in model.named_parameters():
        found = gated.model.get_parameter(name).grad
        assert _moves(found) == _moves(parameter.grad), name


def test_trained_gates_give_an_equal_network(each: Architecture, gated: GatedModel) -> None:
    torch.manual_seed(0)
    for number, one in enumerate(gated.gate_list):
        assert isinstance(one, Fixed)
        gated.gate_list[number] = BetaBernoulli(one.units)
    optimiser = torch.optim.Adam(gated.parameters(), lr=0.02)
    x, y = each.images(4), torch.arange(4)
    gated.train()
    for _ in range(2):
        optimiser.zero_grad()
        loss = functional.cross_entropy(gated(x), y) + gated.kl() / gated.structure.units
        torch.autograd.backward(loss)
        optimiser.step()
    gated.eval()
    assert _difference(slim(gated, x)(x), gated(x)) <= 1e-4


def test_no_gate_acts_after_an_exception(each: Architecture, gated: GatedModel) -> None:
    _set(gated, 0.5)
    x = each.images()
    broken = nn.modules.module.register_module_forward_hook(_break_at_linear)
    with broken, pytest.raises(ZeroDivisionError):
        gated(x)
    torch.testing.assert_close(gated.model(x), each.model()(x))


def test_a_copy_is_independent(each: Architecture, gated: GatedModel) -> None:
    x = each.images()
    before, twin = gated(x), copy.deepcopy(gated)
    _set(twin, 0.5)
    assert torch.equal(gated(x), before)
    changed = twin(x)
    assert not torch.allclose(changed, before)
    _set(gated, 0.9)
    assert torch.equal(twin(x), changed)


def test_the_slim_network_learns(each: Architecture, gated: GatedModel) -> None:
    _set(gated, 0.5)
    x, y = each.images(4), torch.arange(4)
    small = copy.deepcopy(slim(gated, x)).train()
    before = copy.deepcopy(small.state_dict())
    torch.autograd.backward(functional.cross_entropy(small(x), y))
    torch.optim.SGD(small.parameters(), lr=0.1).step()
    assert any(not torch.equal(value, before[name]) for name, value in small.state_dict().items())


@pytest.mark.filterwarnings("ignore:in train mode the graph")
def test_the_slim_network_comes_back(each: Architecture, gated: GatedModel, tmp_path: Path) -> None:
    _set(gated, 0.5)
    x = each.images(4)
    small = slim(gated, x)
    again = load(save(small, tmp_path / "model", input_shape=list(each.shape)), trust_code=True)
    assert torch.equal(again(x), small(x))


@_chosen(
    "vit_own_attention", "vit_encoder_layer", "Swin", "mlp_mixer", "resnet_bottleneck", "densenet",
    "inception", "UNet", "TransposedConv", "two_inputs_and_outputs", "TwoScales", "TiedWeights",
    "GatedLinearUnit", "Maxout", "PixelShuffled", "RowsThroughConv1d", "RowsThroughLSTM",
    "ComputedWeight", "transformers_swin", "transformers_convnext", "transformers_bit",
    "mobilenet_v3", "regnet", "shufflenet", "cbam", "group_norm", "instance_norm",
    "LayerNormChannelsLast", "pool_lp", "pool_padded_and_enlarged", "PoolSumAndLargest",
)  # fmt: skip
@pytest.mark.usefixtures("_one_table_of_operators")
def test_the_slim_network_is_the_same_in_onnx(
    each: Architecture, gated: GatedModel, tmp_path: Path
) -> None:
    """The others' files are compared by benchmarks/architectures.py."""
    pytest.importorskip("onnxruntime")
    _set(gated, 0.5)
    x = each.images(4)
    export(slim(gated, x), tmp_path / "model.onnx", x)  # raises where it is another


@pytest.fixture(scope="module")
def _one_table_of_operators() -> Iterator[None]:
    """Makes torch's table of ONNX operators once, which takes half of an export else."""
    found = _registration.ONNXRegistry
    with pytest.MonkeyPatch.context() as patch:
        once = cache(found.from_torchlib)
        patch.setattr(found, "from_torchlib", staticmethod(once))
        yield


@pytest.mark.parametrize("refused", REFUSED, ids=lambda each: each.name)
def test_it_is_refused_and_says_why(refused: Architecture) -> None:
    try:
        found = gate(refused.model(), refused.images(1), "fixed").eval()
    except ValueError as refusal:
        with pytest.raises(ValueError, match=refused.refused):
            raise refusal from None
    else:
        share = _removable(refused, found)
        pytest.fail(f"{refused.name} is gated by now and {share:.3f} of its MACs can go")


def _break_at_linear(module: nn.Module, _inputs: object, _output: object) -> None:
    if isinstance(module, nn.Linear):
        raise ZeroDivisionError


def _wake(network: nn.Module) -> None:
    """Raises every bias: a ReLU of two or three units may be dead at its first weights."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.add_(1)


def _moves(gradient: Tensor | None) -> bool:
    return gradient is not None and bool(gradient.abs().max() > 1e-9)  # less is rounding


def _set(gated: GatedModel, closed: float) -> None:
    """Draws seeded gates in [0.5, 1.5], a share of which is closed."""
    generator = torch.Generator().manual_seed(2)
    for one in gated.gates.values():
        assert isinstance(one, Fixed)
        values = torch.rand(one.units, generator=generator) + 0.5
        values[torch.rand(one.units, generator=generator) < closed] = 0
        one.values.data.copy_(values)


def _removable(each: Architecture, gated: GatedModel) -> float:
    for one in gated.gates.values():
        one.close(torch.ones(one.units, dtype=torch.bool))
    x = each.images()
    return 1 - cost(slim(gated, x), x).macs / cost(each.model(), x).macs


def _difference(found: Tensor, expected: Tensor) -> float:
    return float(((found - expected).abs().max() / expected.abs().max()).detach())

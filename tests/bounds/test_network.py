import pytest
import torch
from torch import Tensor, nn

from advprune.bounds import Region, margin_bounds, network
from advprune.gates import GatedModel
from advprune.pruning import slim
from advprune.structure import UnsupportedOperatorError
from advprune.threat import ThreatModel

Y = torch.tensor([0, 1, 2, 0, 1])
THREAT = ThreatModel("linf", 0.05)


def bounds(model: nn.Module, x: Tensor, gates: Tensor | None = None) -> Tensor:
    return margin_bounds(network(model, x, gates), Region(x, THREAT), Y, 3, "crown")


@pytest.mark.parametrize("name", ["chain", "positions"])
def test_a_gated_model_has_the_bounds_of_the_slim_one(
    name: str, images: Tensor, request: pytest.FixtureRequest
) -> None:
    gated: GatedModel = request.getfixturevalue(name)
    with torch.no_grad():
        for number, gate in enumerate(gated.gates.values()):
            gate.get_buffer("values").copy_(torch.linspace(0, 1 + number, gate.units))
    torch.testing.assert_close(bounds(gated, images), bounds(slim(gated, images), images))


def test_every_example_may_have_gates_of_its_own(chain: GatedModel, images: Tensor) -> None:
    values = torch.rand(5, 12, generator=torch.Generator().manual_seed(0))
    together = bounds(chain, images, values)
    with torch.no_grad():
        chain.gates["conv1"].get_buffer("values").copy_(values[3, :3])
        chain.gates["conv2"].get_buffer("values").copy_(values[3, 3:7])
        chain.gates["f1"].get_buffer("values").copy_(values[3, 7:])
    torch.testing.assert_close(together[3], bounds(chain, images)[3])


def test_bounds_follow_the_weights_and_have_a_gradient_in_them(
    make_chain: type[nn.Module], images: Tensor
) -> None:
    model = make_chain().eval()
    before = bounds(model, images)
    weights = dict(model.named_parameters())
    gradients = torch.autograd.grad(before.sum(), list(weights.values()))
    assert all(bool(gradient.any()) for gradient in gradients)
    with torch.no_grad():
        weights["f2.bias"][0] += 1.0
    torch.testing.assert_close(bounds(model, images)[0], before[0] + torch.tensor([0.0, 1.0, 1.0]))


def test_an_unknown_operator_is_refused_by_name_and_place(images: Tensor) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.Sigmoid(), nn.Linear(4, 3))
    with pytest.raises(
        UnsupportedOperatorError, match=r"cannot bound operator 'aten\.sigmoid.*module '2'"
    ):
        network(model, images)


def test_a_product_of_two_values_is_refused(images: Tensor) -> None:
    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * x.relu()).flatten(1)

    with pytest.raises(UnsupportedOperatorError, match=r"aten\.mul.*not linear"):
        network(Square(), images)

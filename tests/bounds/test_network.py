import pytest
import torch
from torch import Tensor, nn

from advprune.bounds import Region, margin_bounds, network
from advprune.gates import GatedModel, gate
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
        for number, one in enumerate(gated.gates.values()):
            one.get_buffer("values").copy_(torch.linspace(0, 1 + number, one.units))
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


def test_gates_before_a_grouped_convolution_count_by_channel(images: Tensor) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 8, 1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 1, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 3),
    )
    gated = gate(model, images, "fixed").eval()
    with torch.no_grad():
        for one in gated.gates.values():
            one.get_buffer("values").copy_(torch.linspace(0.5, 1.5, one.units))
    torch.testing.assert_close(bounds(gated, images), bounds(slim(gated, images), images))


class Shifted(nn.Module):
    """Subtracts a constant that is neither a parameter nor a buffer, then multiplies by another."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.mean = torch.full(shape, 0.25)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(((x - self.mean) * torch.tensor(2.0)).flatten(1))
        return logits


def test_constants_that_a_model_merely_holds_are_bounded_with(images: Tensor) -> None:
    model = Shifted(1, 1, 1)
    weight = 2 * model.head.weight.detach()
    folded = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    folded.load_state_dict(
        {"1.weight": weight, "1.bias": model.head.bias.detach() - 0.25 * weight.sum(1)}
    )
    torch.testing.assert_close(bounds(model, images), bounds(folded, images))


def test_a_constant_that_makes_a_value_larger_is_refused(images: Tensor) -> None:
    class Wider(Shifted):
        def forward(self, x: Tensor) -> Tensor:
            return (x - self.mean).flatten(1)

    with pytest.raises(UnsupportedOperatorError, match=r"aten\.sub.*makes the value larger"):
        network(Wider(3, 1, 1), images)

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.evaluation import reference
from advprune.evaluation.cost import cost
from advprune.models import build


def test_lenet_costs_what_its_formula_says() -> None:
    counted = cost(build("lenet5_caffe"), torch.zeros(7, 1, 28, 28))
    assert counted.parameters == 431_080
    assert counted.macs == 2_293_000
    assert counted.activations == 20 * 24 * 24 + 50 * 8 * 8 + 500 + 10
    assert counted.bytes == 4 * 431_080


def test_vgg_costs_half_of_what_the_reference_counts_as_flops() -> None:
    counted = cost(build("vgg16"), torch.zeros(1, 3, 32, 32))
    sides = (32, 32, 16, 16, 8, 8, 8, 4, 4, 4, 2, 2, 2)
    channels = (3, *reference.VGG_WIDTHS[:13])
    by_hand = sum(
        9 * i * o * side**2 for i, o, side in zip(channels, channels[1:], sides, strict=False)
    )
    assert counted.macs == by_hand + 512 * 512 + 512 * 10
    assert counted.parameters == 14_991_946
    assert 2 * counted.macs == pytest.approx(reference.vgg().flops, rel=2e-3)


def test_grouped_and_transposed_convolutions_count_their_own_products() -> None:
    depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
    assert cost(depthwise, torch.zeros(1, 4, 5, 5)).macs == 4 * 9 * 25
    transposed = nn.ConvTranspose2d(2, 3, 2, stride=2)
    counted = cost(transposed, torch.zeros(1, 2, 5, 5))
    assert (counted.macs, counted.activations) == (2 * 3 * 4 * 25, 3 * 10 * 10)


def test_functional_calls_count_as_layers_do() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = nn.Parameter(torch.zeros(3, 2, 3, 3))
            self.matrix = nn.Parameter(torch.zeros(5, 3))

        def forward(self, x: Tensor) -> Tensor:
            return functional.linear(functional.conv2d(x, self.kernel).flatten(1), self.matrix)

    counted = cost(Functional(), torch.zeros(2, 2, 3, 3))
    assert (counted.macs, counted.activations, counted.parameters) == (54 + 15, 8, 54 + 15)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_over_tokens_counts_every_token(bias: bool) -> None:
    assert cost(nn.Linear(4, 6, bias=bias), torch.zeros(2, 7, 4)).macs == 7 * 4 * 6


def test_a_network_in_training_with_batch_norm_stays_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    cost(model, torch.rand(4, 1, 3, 3))
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())

import torch
from torch import nn

from advprune.structure.resize import replace_tensor, resize


def test_layers_state_their_new_shapes() -> None:
    conv, norm, linear = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(8, 5)
    model = nn.Sequential(conv, norm, nn.Flatten(), linear)
    rows, columns = torch.tensor([0, 2, 3]), torch.tensor([1, 2])
    resize(model, {"0.weight": {0: rows, 1: columns}, "0.bias": {0: rows}})
    resize(model, {"1.weight": {0: rows}, "1.running_mean": {0: rows}, "3.weight": {1: columns}})
    assert (conv.out_channels, conv.in_channels) == (3, 2)
    assert norm.num_features == 3
    assert (linear.out_features, linear.in_features) == (5, 2)


def test_the_kept_values_stay_as_they_were() -> None:
    model = nn.Linear(3, 4)
    before = model.weight.detach().clone()
    resize(model, {"weight": {0: torch.tensor([3, 1]), 1: torch.tensor([2])}})
    assert torch.equal(model.weight, before[[3, 1]][:, [2]])


def test_what_keeps_its_size_stays_the_same_parameter() -> None:
    model = nn.Linear(3, 4)
    weight = model.weight
    resize(model, {"weight": {0: torch.arange(4)}})
    assert model.weight is weight


def test_a_frozen_parameter_stays_frozen() -> None:
    model = nn.Linear(3, 4).requires_grad_(False)
    replace_tensor(model, "bias", torch.zeros(2))
    assert isinstance(model.bias, nn.Parameter)
    assert not model.bias.requires_grad

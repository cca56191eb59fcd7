import math

import torch
from torch import nn

from advprune.bounds import narrow_weights


def test_the_sum_of_a_units_weights_is_two_on_average_whatever_the_fan_in() -> None:
    model = nn.Sequential(nn.Conv2d(4, 200, 3), nn.ReLU(), nn.Linear(400, 300))
    narrow_weights(model, torch.Generator().manual_seed(0))
    for module in (model[0], model[2]):
        weight, bias = module.get_parameter("weight"), module.get_parameter("bias")
        assert math.isclose(weight.flatten(1).abs().sum(1).mean().item(), 2.0, rel_tol=0.05)
        assert not bool(bias.any())


def test_the_same_seed_draws_the_same_weights() -> None:
    first, second = nn.Linear(5, 5), nn.Linear(5, 5)
    for model in (first, second):
        narrow_weights(model, torch.Generator().manual_seed(7))
    torch.testing.assert_close(first.weight, second.weight)

import pytest
import torch
from torch import nn

from advprune.training import average


def test_the_average_moves_by_the_rest_of_the_decay() -> None:
    model = nn.Linear(1, 1, bias=False)
    kept = {"weight": torch.zeros(1, 1)}
    model.weight.data.fill_(1.0)
    average.update(kept, model, decay=0.9, steps=10_000)
    assert kept["weight"].item() == pytest.approx(0.1)


def test_early_on_the_average_forgets_faster() -> None:
    model = nn.Linear(1, 1, bias=False)
    kept = {"weight": torch.zeros(1, 1)}
    model.weight.data.fill_(1.0)
    average.update(kept, model, decay=0.9, steps=0)
    assert kept["weight"].item() == pytest.approx(0.9)


def test_applied_puts_parameters_and_buffers_back() -> None:
    model = nn.BatchNorm1d(2)
    with average.applied({"weight": torch.full((2,), 5.0)}, model):
        assert model.weight.tolist() == [5, 5]
        assert model.running_mean is not None
        model.running_mean.fill_(3.0)
    assert model.weight.tolist() == [1, 1]
    assert model.running_mean.tolist() == [0, 0]


def test_applied_puts_everything_back_after_an_error() -> None:
    model = nn.Linear(1, 1)
    before = model.weight.item()
    with pytest.raises(KeyError), average.applied({"weight": torch.ones(1, 1)}, model):
        raise KeyError
    assert model.weight.item() == before

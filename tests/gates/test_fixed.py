import torch
from torch import nn

from advprune.gates import Fixed


def test_all_are_open_at_first_and_cost_nothing() -> None:
    gate = Fixed(3)
    assert gate.expected().tolist() == [1, 1, 1]
    assert float(gate.kl()) == 0
    assert list(gate.parameters()) == []


def test_values_are_read_at_every_pass() -> None:
    gate = Fixed(3)
    gate.values = torch.tensor([0.5, 0.0, -2.0])
    assert gate.sample(2).tolist() == [[0.5, 0.0, -2.0]] * 2
    assert gate.expected().tolist() == [0.5, 0.0, -2.0]
    assert gate.active().tolist() == [True, False, True]


def test_values_may_be_a_parameter() -> None:
    gate = Fixed(2)
    del gate.values
    gate.values = nn.Parameter(torch.tensor([0.5, 1.0]))
    torch.autograd.backward(gate.sample(3).sum())
    assert gate.values.grad is not None
    assert gate.values.grad.tolist() == [3, 3]


def test_units_are_closed_and_revived() -> None:
    gate = Fixed(2)
    gate.close(torch.tensor([True, False]))
    assert gate.values.tolist() == [0, 1]
    gate.revive(torch.tensor([True, False]))
    assert gate.values.tolist() == [1, 1]

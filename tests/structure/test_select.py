import torch
from torch import nn

from advprune.structure import SelectedLinear


def test_it_reads_the_chosen_inputs_only() -> None:
    linear = nn.Linear(4, 2)
    linear.weight.data = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    linear.bias.data = torch.tensor([0.5, 0.0])
    selected = SelectedLinear(linear, torch.tensor([3, 1]))
    out = selected(torch.tensor([[1.0, 10.0, 100.0, 1000.0]]))
    assert out.tolist() == [[4020.5, 8060.0]]
    assert selected.in_features == 2


def test_a_layer_without_bias_stays_without() -> None:
    assert SelectedLinear(nn.Linear(4, 2, bias=False), torch.tensor([0])).bias is None


def test_the_chosen_inputs_are_part_of_its_state() -> None:
    selected = SelectedLinear(nn.Linear(4, 2), torch.tensor([0, 2]))
    assert selected.state_dict()["index"].tolist() == [0, 2]

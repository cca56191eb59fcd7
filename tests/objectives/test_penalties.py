import pytest
import torch
from torch import nn

from advprune.objectives import PENALTIES, Batch, Coefficients, Losses, penalised


@pytest.fixture
def layer() -> nn.Linear:
    made = nn.Linear(2, 2)
    made.weight.data = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
    return made


@pytest.mark.parametrize(
    ("name", "expected"),
    [("l1", 7.0), ("group_lasso", 5 + 0 + 3 + 4)],  # two filters, two channels
)
def test_penalties_of_a_layer_are_those_of_hand(
    layer: nn.Linear, name: str, expected: float
) -> None:
    assert PENALTIES[name](layer).item() == pytest.approx(expected)


def test_an_empty_group_has_a_finite_gradient(layer: nn.Linear) -> None:
    torch.autograd.backward(PENALTIES["group_lasso"](layer))
    assert layer.weight.grad is not None
    assert layer.weight.grad.isfinite().all()


def test_the_penalty_is_weighted_and_added_to_the_loss_of_the_weights(layer: nn.Linear) -> None:
    plain = Losses(torch.tensor(1.0), torch.tensor(2.0), {})
    objective = penalised(lambda *_: plain, PENALTIES["l1"], 0.1)
    batch = Batch(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))
    losses = objective(layer, batch, lambda x, *_: x, Coefficients())
    assert losses.weights.item() == pytest.approx(1.7)
    assert losses.gates is plain.gates
    assert losses.parts["penalty"].item() == pytest.approx(0.7)

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.gates import Fixed, GatedModel, gate
from advprune.gates.trials import wrong_cut
from advprune.structure import GraphNetwork, trace

IMAGES = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))


class HeadForTwo(nn.Module):
    """In train mode the last layer reads another layer's units too, which no parameter shows."""

    def __init__(self, drawn: bool = False) -> None:
        super().__init__()
        self.drawn = drawn
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        early = functional.relu(self.first(x))
        logits: Tensor = self.fc(functional.relu(self.second(early)).mean((2, 3)))
        if not self.training:
            return logits
        if self.drawn:
            return functional.dropout(logits)
        both: Tensor = logits + self.fc(early.mean((2, 3)))
        return both


def test_a_class_that_trains_otherwise_once_it_is_cut_is_not_gated() -> None:
    with pytest.warns(UserWarning, match="in train mode the graph of HeadForTwo is not the model"):
        gated = gate(HeadForTwo(), IMAGES, "fixed")
    assert isinstance(gated.model, GraphNetwork)


def test_what_train_mode_draws_is_no_difference() -> None:
    assert isinstance(gate(HeadForTwo(drawn=True), IMAGES, "fixed").model, HeadForTwo)


def test_a_wrong_cut_in_train_mode_is_told_as_such() -> None:
    model = HeadForTwo()
    gated = GatedModel(model, trace(model, IMAGES), {"first": Fixed(4), "second": Fixed(4)})
    assert "in train mode it does not run" in str(wrong_cut(gated, IMAGES, ["first"]))
    model.drawn = True
    assert wrong_cut(gated, IMAGES, ["first"]) is None

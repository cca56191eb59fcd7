import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.structure import SelectedLinear, UnsupportedOperatorError, trace

IMAGES = torch.rand(2, 1, 4, 4)


class Net(nn.Module):
    """Two convolutions with something between them, a mean, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(4, 3)

    def between(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.second(self.between(self.first(x))))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


class Softmax(Net):
    def between(self, x: Tensor) -> Tensor:
        return x.softmax(1)


class Concat(Net):
    def between(self, x: Tensor) -> Tensor:
        return torch.cat([x[:, :2], x[:, 2:]], 1)


class ChannelMean(Net):
    def between(self, x: Tensor) -> Tensor:
        return x - x.mean(1, keepdim=True)


class Broadcast(Net):
    def between(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3), keepdim=True)


class Batched(Net):
    def between(self, x: Tensor) -> Tensor:
        return x.reshape(4, 2, 4, 4).reshape(2, 4, 4, 4)


class Mixing(Net):
    """Pools over what two channels hold."""

    def between(self, x: Tensor) -> Tensor:
        return functional.max_pool2d(x.reshape(2, 2, 8, 4), 2).reshape(2, 4, 2, 2)


class Grouped(Net):
    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(4, 4, 3, padding=1, groups=2)

    def between(self, x: Tensor) -> Tensor:
        out: Tensor = self.grouped(x)
        return out


class Computed(Net):
    def between(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.second.weight * 2, padding=1)


REFUSED = [
    (Softmax, "softmax"),
    (Concat, "slice|cat"),
    (ChannelMean, "mean"),
    (Broadcast, "mul"),
    (Batched, "view|reshape"),
    (Mixing, "max_pool2d.*mixes positions"),
    (Grouped, "convolution"),
    (Computed, "mul|convolution"),
]


@pytest.mark.parametrize(("net", "operator"), REFUSED)
def test_what_has_no_rule_is_refused_by_operator_and_place(net: type[Net], operator: str) -> None:
    with pytest.raises(UnsupportedOperatorError, match=operator) as refusal:
        trace(net(), IMAGES)
    assert "test_rules.py" in str(refusal.value) or "nn/modules" in str(refusal.value)


def test_a_refusal_names_operator_module_and_line() -> None:
    with pytest.raises(UnsupportedOperatorError) as refusal:
        trace(Grouped(), IMAGES)
    assert refusal.value.operator == "aten.convolution.default"
    assert refusal.value.module == "grouped"
    assert "test_rules.py" in refusal.value.place
    assert "in forward" in refusal.value.place


def test_everything_done_to_the_image_alone_may_be_done() -> None:
    class Prepared(Net):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(1)

        def between(self, x: Tensor) -> Tensor:
            return functional.gelu(functional.avg_pool2d(x, 2)) * 2 + 1

        def forward(self, x: Tensor) -> Tensor:
            x = torch.cat([x.softmax(2)[:, :1]], 1).flip(3)
            return super().forward(self.norm((x - 0.5) / 0.25))

    structure = trace(Prepared(), IMAGES)
    assert {name: group.units for name, group in structure.groups.items()} == {
        "first": 4,
        "second": 4,
    }


def test_units_flow_through_a_layer_that_selects_its_inputs() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.Flatten(),
        SelectedLinear(nn.Linear(48, 2), torch.tensor([0, 16, 17, 40])),
    )
    structure = trace(model, IMAGES)
    assert structure.layers["2"].inputs[0].tolist() == [0, 1, 1, 2]

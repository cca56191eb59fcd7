import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from advprune.evaluation import check, cost
from advprune.evaluation.prunable import examine
from advprune.gates import gate


class Net(nn.Module):
    """conv1 1-3, conv2 3-4, pool 4 to 2, f1 16-5, f2 5-3; 4x4 images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.f1, self.f2 = nn.Linear(16, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv2(functional.relu(self.norm(self.conv1(x)))))
        logits: Tensor = self.f2(functional.relu(self.f1(functional.max_pool2d(x, 2).flatten(1))))
        return logits


class Fourier(Net):
    def forward(self, x: Tensor) -> Tensor:
        wave = torch.fft.fft(self.conv1(x)).real.mean((1, 2, 3))
        logits: Tensor = super().forward(x) + wave[:, None]
        return logits


IMAGES = torch.rand(2, 1, 4, 4)


def _shown(found: object) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(found)
    return capture.get()


def test_each_layer_has_its_group_its_size_and_what_of_it_can_go() -> None:
    found = check(Net(), IMAGES)
    assert dict(found.groups) == {"conv1": 3, "conv2": 4, "f1": 5}
    layers = {layer.name: layer for layer in found.layers}
    assert list(layers) == ["conv1", "conv2", "f1", "f2"]
    conv2 = layers["conv2"]
    assert (conv2.kind, conv2.outputs, conv2.group) == ("Conv2d", 4, "conv2")
    assert (conv2.parameters, conv2.macs) == (4 * 3 * 9 + 4, 4 * 3 * 9 * 16)
    assert (conv2.parameters_to_go, conv2.macs_to_go) == (11 * 9 + 3, 11 * 9 * 16)
    f1 = layers["f1"]  # 16 inputs are 4 positions of 4 channels
    assert (f1.parameters_to_go, f1.macs_to_go) == (85 - 5, 80 - 4)


def test_the_totals_are_those_of_the_network_with_one_unit_a_group() -> None:
    found = check(Net(), IMAGES)
    smallest = (9 + 1) + (9 + 1) + 2 + (4 + 1) + (3 + 3)
    assert found.parameters - found.parameters_to_go == smallest
    assert found.macs - found.macs_to_go == 9 * 16 + 9 * 16 + 4 + 3


def test_a_layer_that_stays_says_why() -> None:
    last = check(Net(), IMAGES).layers[-1]
    assert last.group is None
    assert last.blocked
    assert last.macs_to_go == 12  # its inputs can go
    shown = _shown(check(Net(), IMAGES))
    assert "f2 stays: " in shown
    assert "f1" in shown


def test_what_meets_an_operator_without_a_rule_stays_and_says_where() -> None:
    first, *others = check(Fourier(), IMAGES).layers
    assert first.group is None
    assert "_fft" in first.blocked
    assert all(layer.group for layer in others[:-1])


def test_a_network_of_which_nothing_can_go_says_why() -> None:
    found = check(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), IMAGES)
    assert found.refused is not None
    assert "no group of channels" in found.refused
    assert (found.layers, found.macs_to_go) == ((), 0)
    assert "Nothing can be pruned" in _shown(found)
    assert f"{found.macs:,}" in _shown(found)


def test_looking_at_a_gated_network_leaves_its_gates_open_and_at_work() -> None:
    gated = gate(Net(), IMAGES, "fixed").eval()
    before = gated(IMAGES)
    examine(gated, cost(Net(), IMAGES))
    assert torch.equal(gated(IMAGES), before)
    assert all(bool(one.active().all()) for one in gated.gates.values())
    assert int(gated.keep().sum()) == gated.structure.units

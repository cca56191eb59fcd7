import pytest
import torch
from torch import Tensor, nn

from advprune.structure import UnsupportedModelError, trace

IMAGES = torch.rand(2, 1, 4, 4)


class Net(nn.Module):
    """A convolution, something after it that has no rule, a hidden layer, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.hidden, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(torch.fft.fft(x).real)
        x = torch.fft.fft(x).real.mean((2, 3))
        logits: Tensor = self.fc(torch.relu(self.hidden(x)))
        return logits


def test_what_meets_an_operator_without_a_rule_stays_and_names_it_and_its_line() -> None:
    structure = trace(Net(), IMAGES)
    assert list(structure.groups) == ["hidden"]
    why = structure.blocked["first"]
    assert "operator 'aten._fft_r2c.default'" in why
    assert 'test_walk.py", line 19' in why  # not where only the image meets it


def test_a_network_of_which_nothing_can_go_is_refused_with_every_reason() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Softmax(-1), nn.Linear(16, 3))
    with pytest.raises(UnsupportedModelError, match=r"no group.*; 0: _softmax in '2' mixes"):
        trace(model, IMAGES)

import pytest
import torch
from torch import Tensor, nn

from advprune.structure import UnsupportedOperatorError, trace

IMAGES = torch.rand(2, 1, 4, 4)


class Net(nn.Module):
    """A convolution, something after it that has no rule, a mean, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.fc = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(torch.fft.fft(x).real)
        logits: Tensor = self.fc(torch.fft.fft(x).real.mean((2, 3)))
        return logits


def test_what_has_no_rule_is_refused_by_operator_and_line_where_units_meet_it() -> None:
    with pytest.raises(UnsupportedOperatorError) as refusal:
        trace(Net(), IMAGES)
    assert "fft" in refusal.value.operator
    assert "test_walk.py" in refusal.value.place
    assert "line 19" in refusal.value.place  # not where only the image does

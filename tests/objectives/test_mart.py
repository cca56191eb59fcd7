import math
from typing import Any

import pytest
import torch
from torch import nn

from advprune.objectives import Batch, Coefficients
from advprune.objectives.mart import MART, boosted_cross_entropy

TIE = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)


def test_the_boosted_cross_entropy_adds_the_margin_to_the_strongest_rival() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1]]).log()
    found = boosted_cross_entropy(logits, torch.tensor([0, 1]))
    expected = [-math.log(0.5) - math.log(1 - 0.3), -math.log(0.3) - math.log(1 - 0.6)]
    assert found.tolist() == pytest.approx(expected)


def test_the_tie_weighs_by_the_doubt_in_the_true_class(
    odds: nn.Module, pixels: Batch, darkening: Any
) -> None:
    losses = MART.train(odds, pixels, darkening, Coefficients(consistency_weight=5.0))
    doubt = (0.25 + 0.75) / 2  # 1 - p_y(x) of the two
    assert losses.weights.item() == pytest.approx(2 * math.log(2) + 5 * TIE * doubt)
    assert darkening.asked == [None]

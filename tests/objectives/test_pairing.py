import math
from typing import Any

import pytest
from torch import nn

from advprune.objectives import Batch, Coefficients
from advprune.objectives.pairing import LOGIT_PAIRING


def test_the_squared_distance_of_the_logits_is_added(
    odds: nn.Module, pixels: Batch, darkening: Any
) -> None:
    settings = Coefficients(clean_weight=1, adversarial_weight=1, consistency_weight=0.5)
    losses = LOGIT_PAIRING.train(odds, pixels, darkening, settings)
    clean = -(math.log(0.75) + math.log(0.25)) / 2
    distance = math.log(3) ** 2 / 2  # of two logits one moves, by log 3
    expected = (clean + math.log(2)) / 2 + 0.5 * distance
    assert losses.weights.item() == pytest.approx(expected)

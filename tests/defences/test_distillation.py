import math

import pytest
import torch

from advprune.defences import Temperature, soft_cross_entropy


def test_soft_labels_and_temperature_by_hand() -> None:
    logits = Temperature(20)(torch.tensor([[20 * math.log(3.0), 0.0]]))
    torch.testing.assert_close(logits.softmax(1), torch.tensor([[0.75, 0.25]]))
    loss = soft_cross_entropy(logits, torch.tensor([[0.5, 0.5]]))
    torch.testing.assert_close(loss, torch.tensor([-(math.log(0.75) + math.log(0.25)) / 2]))
    with pytest.raises(ValueError, match="temperature=0"):
        Temperature(0)

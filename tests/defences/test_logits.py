import math

import pytest
import torch

from advprune.defences import LogitNoise, squeezed_cross_entropy


def test_squeezing_adds_the_norm_of_the_logits() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0], [3.0, 4.0]])
    loss = squeezed_cross_entropy(logits, torch.tensor([0, 1]), 0.5)
    expected = [-math.log(0.75) + math.log(3.0) / 2, math.log(1 + math.exp(-1)) + 2.5]
    torch.testing.assert_close(loss, torch.tensor(expected))


def test_noise_is_gaussian_around_the_logits_in_evaluation_too() -> None:
    torch.manual_seed(0)
    noisy = LogitNoise(0.5).eval()(torch.tensor([[2.0, -1.0]]).expand(4000, 2))
    torch.testing.assert_close(noisy.mean(0), torch.tensor([2.0, -1.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(noisy.std(0), torch.tensor([0.5, 0.5]), atol=0.03, rtol=0)
    with pytest.raises(ValueError, match="scale=0"):
        LogitNoise(0)

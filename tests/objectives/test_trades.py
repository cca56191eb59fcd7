import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advprune.gates import GatedModel
from advprune.objectives import Batch, Coefficients
from advprune.objectives.trades import TRADES

CLEAN = -(math.log(0.75) + math.log(0.25)) / 2
TIE = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)


def test_the_loss_is_clean_cross_entropy_and_the_weighted_divergence(
    odds: nn.Module, pixels: Batch, darkening: Any
) -> None:
    losses = TRADES.train(odds, pixels, darkening, Coefficients(consistency_weight=6.0))
    assert losses.weights.item() == pytest.approx(CLEAN + 6 * TIE)
    assert losses.parts["clean_loss"].item() == pytest.approx(CLEAN)
    assert losses.parts["adversarial_loss"].item() == pytest.approx(math.log(2))
    assert losses.gates is None


def test_the_attack_moves_away_from_the_networks_own_answer(
    odds: nn.Module, pixels: Batch, darkening: Any
) -> None:
    TRADES.train(odds, pixels, darkening, Coefficients())
    assert darkening.asked == ["itself"]


def test_gates_learn_from_the_whole_loss_and_their_divergence(
    learned_chain: GatedModel, images: Tensor, darkening: Any
) -> None:
    batch = Batch(images, torch.tensor([0, 1, 2, 0, 1]))
    settings = Coefficients(beta=4.0, examples=50)
    losses = TRADES.prune(learned_chain, batch, darkening, settings)
    assert losses.gates is not None
    expected = losses.weights + 4 * learned_chain.kl() / 50
    torch.testing.assert_close(losses.gates, expected)

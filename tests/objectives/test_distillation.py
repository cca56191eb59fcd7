import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advprune.gates import GatedModel
from advprune.objectives import Batch, Coefficients
from advprune.objectives.distillation import ARD, RSLAD

CLEAN = -(math.log(0.75) + math.log(0.25)) / 2
LOGITS = torch.tensor([[math.log(4.0), 0.0]] * 2)
"""The teacher: 4 to 1 for class 0."""


def divergence(p: float, q: float) -> float:
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


@pytest.fixture
def taught(pixels: Batch) -> Batch:
    return replace(pixels, taught=LOGITS)


def test_ard_softens_both_answers_and_scales_by_the_squared_temperature(
    odds: nn.Module, taught: Batch, darkening: Any
) -> None:
    settings = Coefficients(clean_weight=1.0, adversarial_weight=3.0, temperature=2.0)
    losses = ARD.train(odds, taught, darkening, settings)
    softened = 4 * divergence(2 / 3, 1 / 2)  # at temperature 2 the teacher says 2 to 1
    assert losses.weights.item() == pytest.approx(0.25 * CLEAN + 0.75 * softened)
    assert darkening.asked == [None]


def test_rslad_follows_the_teacher_on_clean_and_on_attacked_images(
    odds: nn.Module, taught: Batch, darkening: Any
) -> None:
    settings = Coefficients(clean_weight=1.0, adversarial_weight=5.0)
    losses = RSLAD.train(odds, taught, darkening, settings)
    clean, attacked = divergence(0.8, 0.75), divergence(0.8, 0.5)
    assert losses.weights.item() == pytest.approx((clean + 5 * attacked) / 6)


def test_rslad_attacks_away_from_the_teacher(
    odds: nn.Module, taught: Batch, darkening: Any
) -> None:
    RSLAD.train(odds, taught, darkening, Coefficients())
    assert darkening.asked == [LOGITS]


@pytest.mark.parametrize("defence", [ARD, RSLAD])
def test_gates_learn_from_the_divergence_on_attacked_images(
    defence: Any, learned_chain: GatedModel, images: Tensor, darkening: Any
) -> None:
    batch = Batch(images, torch.tensor([0, 1, 2, 0, 1]), torch.zeros(5, 3))
    losses = defence.prune(learned_chain, batch, darkening, Coefficients(beta=4.0, examples=50))
    p = learned_chain(torch.zeros_like(images)).softmax(1)
    attacked = (math.log(1 / 3) - p.log()).mean(1).mean()
    torch.testing.assert_close(losses.gates, attacked + 4 * learned_chain.kl() / 50)


@pytest.mark.parametrize("defence", [ARD, RSLAD])
def test_without_a_teacher_there_is_nothing_to_distil(
    defence: Any, odds: nn.Module, pixels: Batch, darkening: Any
) -> None:
    with pytest.raises(ValueError, match="none was given"):
        defence.train(odds, pixels, darkening, Coefficients())

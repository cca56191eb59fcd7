import math

import pytest
import torch

from advprune.objectives.losses import Coefficients, kl, measured, weighted


def test_loss_and_accuracy_are_those_of_the_logits() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0], [math.log(3.0), 0.0]], requires_grad=True)
    loss, parts = measured("clean", logits, torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2)
    assert parts["clean_loss"].item() == pytest.approx(loss.item())
    assert parts["clean_accuracy"].item() == 0.5
    assert loss.requires_grad
    assert not parts["clean_loss"].requires_grad


def test_clean_and_adversarial_terms_are_averaged_by_their_weights() -> None:
    one, four = torch.tensor(1.0), torch.tensor(4.0)
    assert weighted(one, four, Coefficients()).item() == pytest.approx(3.0)
    assert weighted(one, four, Coefficients(adversarial_weight=0)).item() == pytest.approx(1.0)
    assert weighted(one, four, Coefficients(clean_weight=0)).item() == pytest.approx(4.0)


def test_the_divergence_is_that_of_the_softened_answers() -> None:
    p = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])  # 3/4 and 1/4; 1/2 each
    q = torch.tensor([[0.0, 0.0], [0.0, math.log(4.0)]])  # 1/2 each; 1/5 and 4/5
    expected = [
        0.75 * math.log(1.5) + 0.25 * math.log(0.5),
        0.5 * math.log(0.5 / 0.2) + 0.5 * math.log(0.5 / 0.8),
    ]
    assert kl(p, q).tolist() == pytest.approx(expected)
    softened = [0.5 * math.log(0.5 * 3) + 0.5 * math.log(0.5 * 3 / 2)]  # ln 4 / 2: 1/3 and 2/3
    assert kl(p[1:], q[1:], temperature=2.0).tolist() == pytest.approx(softened)

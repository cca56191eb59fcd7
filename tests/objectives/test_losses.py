import math

import pytest
import torch

from advprune.objectives.losses import measured, weighted


def test_loss_and_accuracy_are_those_of_the_logits() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0], [math.log(3.0), 0.0]], requires_grad=True)
    loss, parts = measured("clean", logits, torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2)
    assert parts["clean_loss"].item() == pytest.approx(loss.item())
    assert parts["clean_accuracy"].item() == 0.5
    assert loss.requires_grad
    assert not parts["clean_loss"].requires_grad


def test_the_adversarial_share_is_normalised() -> None:
    assert weighted(torch.tensor(1.0), torch.tensor(4.0), 2.0).item() == pytest.approx(3.0)
    assert weighted(torch.tensor(1.0), torch.tensor(4.0), 0.0).item() == pytest.approx(1.0)

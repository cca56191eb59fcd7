import math

import pytest
import torch

from advprune.gates import HardConcrete


def gate(log_alpha: float, units: int = 1) -> HardConcrete:
    return HardConcrete(units, start=log_alpha).double().requires_grad_(False)


@pytest.mark.parametrize("log_alpha", [-4.0, -1.0, 0.0, 2.0])
def test_mean_and_share_of_open_gates_are_those_of_draws(log_alpha: float) -> None:
    torch.manual_seed(0)
    drawn = gate(log_alpha, 200).sample(2000)
    assert drawn.mean().item() == pytest.approx(gate(log_alpha).mean().item(), abs=4e-3)
    opened = (drawn > 0).double().mean().item()
    assert gate(log_alpha).kl().item() == pytest.approx(opened, abs=4e-3)


def test_the_penalty_has_its_published_form() -> None:
    expected = 1 / (1 + math.exp(-(0.5 - 2 / 3 * math.log(0.1 / 1.1))))
    assert gate(0.5).kl().item() == pytest.approx(expected)


def test_gates_are_exactly_open_and_shut() -> None:
    torch.manual_seed(0)
    drawn = gate(0.0, 100).sample(100)
    assert bool((drawn == 0).any())
    assert bool((drawn == 1).any())


def test_the_test_time_gate_is_the_stretched_and_clipped_mean_of_the_logistic() -> None:
    assert gate(0.0).expected().item() == pytest.approx(0.5)
    assert gate(4.0).expected().item() == 1
    edge = math.log(0.1 / 1.1)
    for shift, active in ((0.01, True), (-0.01, False)):
        assert bool(gate(edge + shift).active()) is active
        assert (gate(edge + shift).expected().item() > 0) is active


def test_a_temperature_is_positive() -> None:
    with pytest.raises(ValueError, match="temperature=0"):
        HardConcrete(1, temperature=0.0)

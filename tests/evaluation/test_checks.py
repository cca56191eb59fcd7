from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import PGD
from advprune.evaluation.checks import check_attacks, check_losses, check_model
from advprune.evaluation.suites import Trial, quick, transfer
from advprune.threat import ThreatModel

X, Y = torch.rand(8, 1, 2, 2, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
THREAT = ThreatModel("linf", 0.1)


class Answer(nn.Module):
    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(torch.stack([x.sum((1, 2, 3)), -x.sum((1, 2, 3))], dim=1))


def found(answer: Callable[[Tensor], Tensor]) -> set[str]:
    return {finding.name for finding in check_model(Answer(answer), X, Y)}


def test_a_plain_model_raises_no_warning() -> None:
    assert found(lambda logits: logits) == set()


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (lambda logits: logits.softmax(1), "output is probabilities"),
        (lambda logits: logits + torch.rand(()), "random output"),
        (lambda logits: torch.tanh(1e4 * logits), "zero gradients"),
    ],
)
def test_each_misleading_output_is_named(answer: Callable[[Tensor], Tensor], name: str) -> None:
    assert name in found(answer)


def test_a_warning_says_what_was_measured_and_what_to_do() -> None:
    (finding,) = check_model(Answer(lambda logits: logits.softmax(1)), X, Y)
    assert (finding.figure, finding.threshold) == (1.0, 0.5)
    assert "Return logits" in str(finding)


def test_weak_attacks_that_break_what_strong_ones_leave_are_named() -> None:
    trials = quick(THREAT) | {"transfer:0": transfer(THREAT)}
    nobody, one = torch.zeros(10, dtype=torch.bool), torch.arange(10) == 3
    broken = {"pgd": nobody, "pgd_margin": nobody, "fgsm": one, "transfer:0": one}
    findings = {finding.name: finding for finding in check_attacks(trials, broken)}
    assert set(findings) == {"FGSM stronger than PGD", "transfer stronger than white-box"}
    assert findings["FGSM stronger than PGD"].figure == pytest.approx(0.1)
    assert not list(check_attacks(trials, broken | {"pgd_margin": one}))


class Stairs(nn.Module):
    """Answers by a pixel's mean, through a step whose gradient is zero nearly everywhere."""

    def __init__(self, steepness: float) -> None:
        super().__init__()
        self.steepness = steepness

    def forward(self, x: Tensor) -> Tensor:
        score = torch.tanh(self.steepness * (x.flatten(1).mean(1) - 0.5))
        return torch.stack([score, -score], dim=1)


@pytest.mark.parametrize(("steepness", "flat"), [(1.0, set()), (1e4, {"loss does not rise"})])
def test_a_loss_that_no_step_raises_is_named(steepness: float, flat: set[str]) -> None:
    x, y = torch.full((8, 1, 2, 2), 0.8), torch.zeros(8, dtype=torch.int64)
    trials = quick(THREAT)
    model = Stairs(steepness)
    losses = {name: trial.attack.run(model, x, y).loss_per_step for name, trial in trials.items()}
    assert {finding.name for finding in check_losses(trials, losses)} == flat


def test_an_attack_of_one_step_says_nothing_of_the_loss() -> None:
    trials = {"pgd": Trial(PGD(THREAT, steps=1), alone=True)}
    assert not list(check_losses(trials, {"pgd": torch.zeros(1)}))

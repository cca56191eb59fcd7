from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import EOT, PGD
from advprune.evaluation.attempt import Target
from advprune.evaluation.checks import (
    CHECKS,
    check_attacks,
    check_losses,
    check_model,
    check_radii,
    check_restarts,
    search,
)
from advprune.evaluation.sample import gather
from advprune.evaluation.suites import quick, transfer
from advprune.evaluation.trial import Trial
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


def test_random_output_that_attacks_average_over_is_to_be_known_and_no_alarm() -> None:
    coin = Answer(lambda logits: logits + torch.rand(()))
    (alone,) = check_model(coin, X, Y, [PGD(THREAT)])
    (averaged,) = check_model(coin, X, Y, [PGD(THREAT), EOT(PGD(THREAT))])
    assert (alone.name, alone.level) == ("random output", "alarm")
    assert (averaged.name, averaged.level) == ("random output, averaged attacks", "warning")
    assert "averages over its draws" not in averaged.text
    assert "evaluation.repeat" in averaged.text
    plain = Answer(lambda logits: logits)
    assert not list(check_model(plain, X, Y, [EOT(PGD(THREAT))]))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_confident_network_hides_nothing_though_its_cross_entropy_underflows(
    classes: int,
) -> None:
    sure = nn.Sequential(nn.Flatten(), nn.Linear(4, classes, bias=False))
    with torch.no_grad():
        sure.get_parameter("1.weight").copy_(1e4 * torch.eye(classes, 4))
    y = sure(X).argmax(1)
    x = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(sure(x), y), x)
    assert (gradient.flatten(1).abs().amax(1) == 0).float().mean() > 0.5
    assert not list(check_model(sure, X, y))


def test_a_warning_says_what_was_measured_and_what_to_do() -> None:
    (finding,) = check_model(Answer(lambda logits: logits.softmax(1)), X, Y)
    assert (finding.figure, finding.threshold) == (1.0, 0.5)
    assert "Return logits" in str(finding)


def hits(*broken: int) -> Tensor:
    return torch.isin(torch.arange(10), torch.tensor(broken))


def test_weak_attacks_that_break_what_strong_ones_leave_are_named() -> None:
    trials = quick(THREAT) | {"transfer:0": transfer(THREAT)}
    right = hits(*range(9))
    broken = dict.fromkeys(trials, hits()) | {"fgsm": hits(3), "transfer:0": hits(3)}
    findings = {finding.name: finding for finding in check_attacks(trials, broken, right)}
    assert set(findings) == {"FGSM stronger than PGD", "transfer stronger than white-box"}
    assert findings["FGSM stronger than PGD"].figure == pytest.approx(0.1)
    assert findings["FGSM stronger than PGD"].level == "alarm"
    assert not list(check_attacks(trials, broken | {"pgd": hits(3)}, right))


def test_queries_that_break_more_say_by_how_much_and_what_is_left() -> None:
    trials = quick(THREAT)
    broken = dict.fromkeys(trials, hits()) | {"pgd": hits(0, 1), "square": hits(2)}
    (finding,) = check_attacks(trials, broken, hits(*range(9)))
    assert (finding.name, finding.level) == ("black-box stronger than white-box", "alarm")
    assert "overstate by 10.00 points: they leave 70.00 %, with queries 60.00 %" in finding.text


def test_noise_and_a_loss_that_sees_nothing_are_named() -> None:
    trials = quick(THREAT)
    broken = dict.fromkeys(trials, hits()) | {
        "pgd": hits(9), "pgd_margin": hits(1, 2, 3), "noise": hits(5)
    }  # fmt: skip
    findings = {
        finding.name: finding for finding in check_attacks(trials, broken, hits(*range(10)))
    }
    assert set(findings) == {"noise stronger than attacks", "cross-entropy weaker than margin"}
    assert findings["cross-entropy weaker than margin"].figure == pytest.approx(0.3)


def test_layers_that_leave_few_values_are_counted_but_sparse_ones_are_not() -> None:
    x, y = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
    x = (x * 16).round() / 16  # few values, as digits have
    sparse = nn.Sequential(nn.Flatten(), nn.Linear(16, 200), nn.ReLU(), nn.Linear(200, 2))
    with torch.no_grad():
        sparse.get_parameter("1.bias").fill_(-0.8)

    def rounded(images: Tensor) -> Tensor:
        logits: Tensor = sparse((images * 3).round() / 3)
        return logits

    assert "integer-valued layers" not in {found.name for found in check_model(sparse, x, y)}
    (finding,) = (
        found
        for found in check_model(Plain(rounded), x, y)
        if found.name == "integer-valued layers"
    )
    assert (finding.figure, finding.level) == (1.0, "warning")


class Plain(nn.Module):
    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(x)


def grey(steepness: float) -> Plain:
    """Answers by the mean pixel, above or below a half."""

    def answer(x: Tensor) -> Tensor:
        score = torch.tanh(steepness * (x.flatten(1).mean(1) - 0.5))
        return torch.stack([-score, score], dim=1)

    return Plain(answer)


def test_accuracy_that_stays_where_every_image_can_be_grey_is_an_alarm() -> None:
    x = torch.tensor([0.1] * 10 + [0.9] * 10).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    y = torch.arange(20) // 10
    assert not list(check_radii(grey(1.0), x, y, THREAT))
    names = {found.name for found in check_radii(grey(1e4), x, y, THREAT)}
    assert names == {"accuracy at a radius of everything"}


def test_chance_is_counted_in_images_not_in_rounded_shares() -> None:
    x, y = torch.full((10, 1, 2, 2), 0.1), torch.arange(10) // 6
    assert not list(check_radii(grey(1e4), x, y, THREAT))


def test_images_that_only_a_smaller_radius_breaks_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = torch.full((10, 1, 2, 2), 0.4), torch.zeros(10, dtype=torch.int64)

    def broken(_model: nn.Module, _x: Tensor, _y: Tensor, threat: ThreatModel) -> Tensor:
        return hits(0, 1, 2) if threat.eps < THREAT.eps else hits(*range(2, 10))

    monkeypatch.setattr(search, "_broken", broken)
    found = {finding.name: finding for finding in check_radii(grey(1.0), x, y, THREAT)}
    assert found["larger radius weaker"].figure == pytest.approx(0.2)


def test_fresh_starts_that_break_survivors_are_named() -> None:
    x, y = torch.full((20, 1, 2, 2), 0.45), torch.zeros(20, dtype=torch.int64)
    target = Target(grey(1.0), gather((x, y), 20, subset=None, seed=0), 20, 0)
    (finding,) = check_restarts(target, THREAT, y == 0)
    assert (finding.name, finding.figure, finding.level) == (
        "restarts still lower the figure", 1.0, "alarm",
    )  # fmt: skip
    assert not list(check_restarts(target, ThreatModel("linf", 0.01), y == 0))
    assert not list(check_restarts(target, THREAT, y == 1))


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_says_what_to_do_and_grows_louder(name: str) -> None:
    check = CHECKS[name]
    assert list(check.levels.values()) == sorted(check.levels.values())
    assert check.level(max(check.levels.values())) != "alarm" or len(check.levels) > 1
    assert check.level(max(check.levels.values()) + 1) == list(check.levels)[-1]
    assert check.text.endswith(".")


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

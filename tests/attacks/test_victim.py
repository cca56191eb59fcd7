from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.attacks import (
    APGD,
    EOT,
    FAB,
    FGSM,
    MIFGSM,
    PGD,
    SPSA,
    Attack,
    CarliniWagner,
    DecisionBased,
    DeepFool,
    Distortion,
    FewPixels,
    Pointwise,
    RandomNoise,
    SparseRS,
    Spatial,
    Square,
    Substitute,
    TargetedAPGD,
    TargetedFAB,
)
from advprune.attacks.losses import cross_entropy
from advprune.attacks.victim import Victim
from advprune.threat import ThreatModel


class Doubled(torch.autograd.Function):
    """Seen by autograd only, below all that Python could replace."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return 2 * gradients[0]


def doubled(x: Tensor) -> Tensor:
    result: Tensor = Doubled.apply(x)  # type: ignore[no-untyped-call]
    return result


@torch.jit.script
def scripted(x: Tensor) -> Tensor:
    return (x * x).tanh()


def centred(x: Tensor) -> Tensor:
    with torch.no_grad():
        mean = x.mean()
    return x - mean


class Net(nn.Module):
    def __init__(self, block: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x)
        return functional.max_pool2d((h + self.block(h)).relu(), 2).flatten(1)


@pytest.mark.parametrize("block", [torch.relu, doubled, scripted, centred])
def test_its_gradient_is_that_of_autograd_whatever_the_model_does(
    block: Callable[[Tensor], Tensor],
) -> None:
    torch.manual_seed(0)
    model, labels = Net(block), torch.tensor([0, 1])
    x = torch.rand(2, 1, 8, 8)
    gradient, losses, _ = Victim(model, labels, False, cross_entropy, "float32").gradient(x)
    x.requires_grad_()
    expected = functional.cross_entropy(model(x), labels, reduction="none")
    torch.testing.assert_close(losses, expected.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), x)[0])


def test_an_error_of_the_model_is_the_models_own() -> None:
    def broken(x: Tensor) -> Tensor:
        raise RuntimeError("the model's own words")

    victim = Victim(Net(broken), torch.tensor([0]), False, cross_entropy, "float32")
    with pytest.raises(RuntimeError, match="the model's own words"):
        victim.gradient(torch.rand(1, 1, 8, 8))


def moved(model: nn.Module, x_adv: Tensor, x: Tensor) -> Tensor:
    change: Tensor = model(x_adv) - model(x)
    return change.square().sum(1)


LINF, L2, FEW = ThreatModel("linf", 0.05), ThreatModel("l2", 0.3), FewPixels(3)
ATTACKS: list[Attack] = [
    FGSM(LINF),
    MIFGSM(LINF, steps=4),
    PGD(LINF, steps=4, restarts=2),
    APGD(LINF, steps=10, restarts=2),
    APGD(LINF, steps=10, loss="dlr"),
    TargetedAPGD(LINF, steps=10, targets=2),
    FAB(LINF, steps=4, restarts=2),
    TargetedFAB(LINF, steps=4, targets=2),
    DeepFool(L2, steps=4),
    CarliniWagner(L2, steps=5, searches=2),
    CarliniWagner(LINF, steps=5),
    Square(LINF, queries=20, restarts=2),
    SPSA(LINF, steps=2, directions=3),
    RandomNoise(LINF, draws=3),
    SparseRS(FEW, queries=20),
    Pointwise(FEW, queries=40),
    Spatial(rotations=3, shifts=1),
    Substitute(LINF, rounds=1, epochs=1),
    DecisionBased(LINF, queries=40),
    Distortion(LINF, moved, steps=3),
    EOT(PGD(LINF, steps=2), samples=3),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)
def test_passes_that_an_attack_reports_are_those_that_happened(
    attack: Attack, counting: Callable[[nn.Module], Any]
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 4)
    )
    x = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(1)
    y[0] = (y[0] + 1) % 4
    counts = counting(model)
    result = attack.run(model, x, y)
    assert (result.forward_passes, result.backward_passes) == (counts.forward, counts.backward)
    assert counts.forward > 0

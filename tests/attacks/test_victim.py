from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.attacks.losses import cross_entropy
from advprune.attacks.victim import Victim


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

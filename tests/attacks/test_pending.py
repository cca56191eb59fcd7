from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from advprune.attacks.pending import CannotWaitError, Deferred, Pending, pending

WEIGHT, BIAS = torch.rand(4, 2, 3, 3), torch.rand(4)


def waiting(x: Tensor) -> Tensor:
    return pending(Deferred(x, WEIGHT, BIAS, (1, 0)))


def eager(x: Tensor) -> Tensor:
    return functional.conv2d(x, WEIGHT, BIAS, padding=(1, 0))


def modified(x: Tensor) -> Tensor:
    y = x + 0
    return x.relu_() + y


@pytest.mark.parametrize(
    "function",
    [
        lambda h: h,
        lambda h: h + h.mean(dim=(2, 3), keepdim=True),
        lambda h: torch.cat([h, h.relu()], dim=1),
        lambda h: h.view(h.shape[0], -1)[:, ::2],
        lambda h: functional.relu(h, inplace=True),
        modified,
    ],
    ids=["alone", "twice", "in a list", "its shape", "in place", "both"],
)
def test_whatever_is_done_with_it_is_done_with_its_values(
    function: Callable[[Tensor], Tensor],
) -> None:
    found = []
    for conv in (waiting, eager):
        x = torch.rand(2, 2, 6, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
        out = function(conv(x))
        weights = torch.linspace(0, 1, out.numel()).view(out.shape)
        (gradient,) = torch.autograd.grad((out * weights).sum(), x)
        found.append((out.detach().clone(), gradient))
    torch.testing.assert_close(found[0], found[1])


def test_it_knows_its_shape_before_its_values() -> None:
    deferred = Deferred(torch.rand(2, 2, 6, 5), WEIGHT, None, (1, 0))
    assert deferred.shape == (2, 4, 6, 3)
    assert "value" not in vars(deferred)
    assert deferred.value.shape == deferred.shape


def test_what_could_lose_its_gradient_is_refused() -> None:
    made = waiting(torch.rand(1, 2, 4, 4, requires_grad=True))
    with torch.no_grad(), pytest.raises(CannotWaitError):
        made.sum()
    with torch._C.DisableTorchFunctionSubclass(), pytest.raises(CannotWaitError):
        made.sum()


def test_its_relu_waits_as_well() -> None:
    x = torch.rand(1, 2, 4, 4)
    made = pending(Deferred(x, -WEIGHT, BIAS, (0, 0)).relu())
    assert isinstance(made, Pending)
    torch.testing.assert_close(made + 0, functional.conv2d(x, -WEIGHT, BIAS).relu())

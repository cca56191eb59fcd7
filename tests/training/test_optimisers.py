import pytest
import torch
from torch import nn

from advprune.training import optimisers


def _trained(steps: int) -> tuple[nn.Parameter, torch.optim.Adam]:
    weight = nn.Parameter(torch.full((2, 3), 0.5))
    optimiser = optimisers.adam({"w": weight}, 0.1, 0.0)
    for _ in range(steps):
        optimisers.apply(optimiser, [torch.arange(6.0).view(2, 3)], 0.1, None)
    return weight, optimiser


def test_restored_moments_make_the_same_next_step() -> None:
    weight, optimiser = _trained(3)
    state = {k: v.clone() for k, v in optimisers.tensors(optimiser, {"w": weight}).items()}
    copy = nn.Parameter(weight.detach().clone())
    other = optimisers.adam({"w": copy}, 0.1, 0.0)
    optimisers.load(other, {"w": copy}, state)
    for one in (optimiser, other):
        optimisers.apply(one, [torch.ones(2, 3)], 0.1, None)
    assert torch.equal(weight, copy)


def test_moments_follow_the_kept_columns() -> None:
    weight, optimiser = _trained(2)
    state = optimisers.tensors(optimiser, {"w": weight})
    cut = optimisers.sliced(state, {"w": {1: torch.tensor([0, 2])}})
    assert torch.equal(cut["w:exp_avg"], state["w:exp_avg"][:, [0, 2]])
    assert cut["w:step"].item() == 2


def test_an_average_follows_by_the_bare_name() -> None:
    cut = optimisers.sliced({"w": torch.eye(3)}, {"w": {0: torch.tensor([1])}})
    assert cut["w"].tolist() == [[0, 1, 0]]


def test_a_clipped_gradient_has_the_given_norm() -> None:
    weight = nn.Parameter(torch.zeros(2))
    optimiser = optimisers.adam({"w": weight}, 0.1, 0.0)
    optimisers.apply(optimiser, [torch.tensor([30.0, 40.0])], 0.1, 1.0)
    moment = optimisers.tensors(optimiser, {"w": weight})["w:exp_avg"]  # a tenth of the gradient
    assert moment.tolist() == pytest.approx([0.06, 0.08], rel=1e-4)

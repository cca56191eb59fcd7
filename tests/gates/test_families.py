"""What holds for every family of gates."""

import copy

import pytest
import torch
from torch import Tensor

from advprune.gates import FAMILIES, Gate, GatedModel, remove
from advprune.gates.base import ACTIVE_ABOVE
from advprune.pruning import slim

LEARNED = sorted(set(FAMILIES) - {"fixed"})


@pytest.fixture(params=LEARNED)
def gated(request: pytest.FixtureRequest, positions: GatedModel) -> GatedModel:
    """The chain with gates of a family, moved off their start, a third of them closed."""
    make, structure = FAMILIES[request.param], positions.structure
    gates: dict[str, Gate] = {name: make(group.units) for name, group in structure.groups.items()}
    generator = torch.Generator().manual_seed(3)
    for gate in gates.values():
        for parameter in gate.parameters():
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
        gate.close(torch.arange(gate.units) % 3 == 1)
    return GatedModel(copy.deepcopy(positions.model), structure, gates)


def test_the_cut_network_equals_the_gated_one(gated: GatedModel, images: Tensor) -> None:
    small = slim(gated.eval(), images)
    torch.testing.assert_close(small(images), gated(images), rtol=1e-5, atol=1e-6)
    assert sum(p.numel() for p in small.parameters()) < sum(
        p.numel() for p in gated.model.parameters()
    )


def test_every_loss_reaches_every_parameter(gated: GatedModel, images: Tensor) -> None:
    torch.manual_seed(0)
    gated.train()
    passes = [gated(images).square().mean() for _ in range(8)]  # some draws have no gradient
    torch.autograd.backward(torch.stack(passes).mean() + gated.kl())
    for parameter in gated.gate_parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.isfinite().all())
        assert bool(parameter.grad.any())


def test_scores_say_which_units_are_active(gated: GatedModel) -> None:
    for gate in gated.gates.values():
        assert torch.equal(gate.active(), gate.score() > ACTIVE_ABOVE)
        assert gate.active().tolist() == [unit % 3 != 1 for unit in range(gate.units)]
        assert bool((gate.score() > 0).all())


def test_revived_units_are_active_but_near_the_border(gated: GatedModel) -> None:
    gate = gated.gates["conv2"]
    before = gate.score().detach()
    chosen = torch.arange(4) == 1
    gate.revive(chosen)
    assert bool(gate.active().all())
    assert gate.score()[1].item() < 0.05
    assert torch.equal(gate.score()[~chosen], before[~chosen])


def test_removed_units_take_their_posterior_along(gated: GatedModel, images: Tensor) -> None:
    expected = gated.eval()(images)
    remove(gated, gated.keep())
    torch.testing.assert_close(gated(images), expected, rtol=1e-5, atol=1e-6)

import json

import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import CarliniWagner
from advprune.threat import ThreatModel

DUALS = {"linf": 1.0, "l2": 2.0}


def linear(classes: int = 2) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, classes))


def images(count: int) -> Tensor:
    return 0.4 + 0.2 * torch.rand(count, 1, 3, 4, generator=torch.Generator().manual_seed(0))


def near_the_boundary() -> tuple[nn.Sequential, Tensor, Tensor]:
    """Two classes, whose boundary lies well inside the range of the pixels."""
    model, x = linear(), images(6)
    logits = model(x).detach()
    with torch.no_grad():
        model.get_parameter("1.bias")[0] -= (logits[:, 0] - logits[:, 1]).mean() + 0.05
    return model, x, model(x).argmax(1)


@pytest.mark.parametrize(("norm", "finer"), [("l2", 1.04), ("linf", 1 / 0.9 + 0.01)])
def test_the_distance_to_the_only_boundary_of_a_linear_model_is_found(
    norm: str, finer: float
) -> None:
    model, x, y = near_the_boundary()
    difference = model.get_parameter("1.weight").detach().diff(dim=0).norm(p=DUALS[norm])
    expected = model(x).detach().diff(dim=1).abs().squeeze(1) / difference
    found = CarliniWagner(ThreatModel(norm, 0.05), steps=50).run(model, x, y)
    assert found.distance is not None
    assert ((found.distance > 0.999 * expected) & (found.distance < finer * expected)).all()
    assert torch.equal(found.fooled, found.distance <= 0.05)
    assert found.fooled.any()
    assert not found.fooled.all()
    assert torch.equal(found.x_adv[~found.fooled], x[~found.fooled])
    assert torch.equal(model(found.x_adv).argmax(1) != y, found.fooled)


def test_black_pixels_leave_the_flat_end_of_tanh() -> None:
    """Twelve pixels must rise by 0.1 each: √12 / 10 in all."""
    model = linear()
    weight = torch.stack([torch.zeros(12), torch.ones(12)])
    model[1].load_state_dict({"weight": weight, "bias": torch.tensor([0.0, -1.2])})
    x, y = torch.zeros(1, 1, 3, 4), torch.zeros(1, dtype=torch.int64)
    found = CarliniWagner(ThreatModel("l2", 1.0), steps=100, learning_rate=0.1).run(model, x, y)
    assert found.distance is not None
    assert found.distance.item() == pytest.approx(12**0.5 / 10, rel=0.1)


def test_more_confidence_is_a_larger_margin_at_a_larger_distance() -> None:
    model, x, y = near_the_boundary()
    slope = model.get_parameter("1.weight").detach().diff(dim=0).norm()
    threat = ThreatModel("l2", 9.0)
    sure = CarliniWagner(threat, steps=50, confidence=0.1).run(model, x, y)
    assert sure.distance is not None
    expected = (model(x).detach().diff(dim=1).abs().squeeze(1) + 0.1) / slope
    torch.testing.assert_close(sure.distance, expected, rtol=0.04, atol=0)
    assert (model(sure.x_adv).diff(dim=1).abs() >= 0.1).all()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_target_is_reached(norm: str) -> None:
    model, x = linear(4), images(3)
    target = (model(x).argmax(1) + 2) % 4
    found = CarliniWagner(ThreatModel(norm, 9.0 if norm == "l2" else 1.0), steps=60).run(
        model, x, model(x).argmax(1), target=target
    )
    assert found.fooled.all()
    assert torch.equal(model(found.x_adv).argmax(1), target)


def test_what_is_wrong_already_costs_no_search_and_an_empty_batch_works() -> None:
    model, x, y = near_the_boundary()
    found = CarliniWagner(ThreatModel("l2", 1.0), steps=5).run(model, x, 1 - y)
    assert torch.equal(found.x_adv, x)
    assert (found.forward_passes, found.backward_passes) == (6, 0)
    assert len(CarliniWagner(ThreatModel("l2", 1.0), steps=5)(model, x[:0], y[:0])) == 0


def test_an_example_is_attacked_alike_in_any_batch() -> None:
    model, x, y = near_the_boundary()
    attack = CarliniWagner(ThreatModel("l2", 1.0), steps=30, searches=3)
    whole, alone = (attack.run(model, x[rows], y[rows]) for rows in (slice(6), slice(2, 3)))
    assert whole.distance is not None
    assert alone.distance is not None
    torch.testing.assert_close(whole.distance[2:3], alone.distance)


def test_budgets_are_told_and_impossible_ones_refused() -> None:
    told = CarliniWagner(ThreatModel("l2", 0.5)).describe()
    assert json.loads(json.dumps(told)) == told
    assert (told["steps"], told["searches"], told["weight"]) == (1000, 9, 1e-3)
    with pytest.raises(ValueError, match="norm='l1'; CarliniWagner knows l2, linf"):
        CarliniWagner(ThreatModel("l1", 1))
    for setting in ({"steps": 0}, {"searches": 0}, {"learning_rate": 0}, {"confidence": -1}):
        with pytest.raises(ValueError, match=next(iter(setting))):
            CarliniWagner(ThreatModel("l2", 1), **setting)

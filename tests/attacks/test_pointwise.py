import json

import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import FewPixels, Pointwise


def summed(gap: float) -> nn.Sequential:
    """Answers 0 where the sum of 12 pixels of 0.5 has risen by less than the gap."""
    linear = nn.Linear(12, 2)
    weight = torch.stack([torch.zeros(12), torch.ones(12)])
    linear.load_state_dict({"weight": weight, "bias": torch.tensor([0.0, -6 - gap])})
    return nn.Sequential(nn.Flatten(), linear)


def greys(count: int) -> tuple[Tensor, Tensor]:
    return torch.full((count, 1, 3, 4), 0.5), torch.zeros(count, dtype=torch.int64)


def test_only_as_many_pixels_stay_changed_as_are_needed() -> None:
    """Three steps of 0.5 pass a gap of 1.2, two do not; where noise fails, white pixels fool."""
    x, y = greys(8)
    found = Pointwise(FewPixels(3), restarts=3).run(summed(1.2), x, y)
    assert found.distance is not None
    assert found.distance.tolist() == [3] * 8
    assert found.fooled.all()
    assert (found.x_adv.flatten(1).sum(1) == 7.5).all()


def test_what_needs_more_pixels_is_told_but_does_not_fool() -> None:
    x, y = greys(4)
    found = Pointwise(FewPixels(2), restarts=3).run(summed(1.2), x, y)
    assert found.distance is not None
    assert found.distance.tolist() == [3] * 4
    assert not found.fooled.any()
    assert torch.equal(found.x_adv, x)


def test_where_no_noise_fools_nothing_is_found() -> None:
    x, y = greys(3)
    found = Pointwise(FewPixels(5)).run(summed(7.0), x, y)
    assert found.distance is not None
    assert found.distance.isinf().all()
    wrong = Pointwise(FewPixels(5)).run(summed(7.0), x, 1 - y)
    assert wrong.fooled.all()
    assert wrong.forward_passes == 3
    assert len(Pointwise(FewPixels(5))(summed(7.0), x[:0], y[:0])) == 0


def test_the_queries_are_kept_to() -> None:
    x, y = greys(1)
    found = Pointwise(FewPixels(1), queries=30).run(summed(1.2), x, y)
    assert found.forward_passes <= 1 + 30


def test_an_example_is_attacked_alike_in_any_batch() -> None:
    (x, y), model, attack = greys(3), summed(1.2), Pointwise(FewPixels(4))
    whole = attack(model, x, y, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    parts = [attack(model, x[:1], y[:1], generator=generator)]
    parts += [attack(model, x[1:], y[1:], generator=generator)]
    assert torch.equal(whole, torch.cat(parts))


def test_budgets_are_told_and_impossible_ones_refused() -> None:
    told = Pointwise(FewPixels(24)).describe()
    assert json.loads(json.dumps(told)) == told
    assert (told["queries"], told["restarts"]) == (1000, 1)
    for setting in ({"queries": 3}, {"restarts": 0}):
        with pytest.raises(ValueError, match=next(iter(setting))):
            Pointwise(FewPixels(1), **setting)

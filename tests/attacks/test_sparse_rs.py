import json

import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import FewPixels, SparseRS
from advprune.threat import ThreatModel


def weighted(*weights: float, gap: float = 0.4) -> nn.Sequential:
    """Answers 0 where the weighted sum of 12 pixels of 0.5 has risen by less than the gap."""
    linear = nn.Linear(12, 2)
    weight = torch.zeros(2, 12)
    weight[1, : len(weights)] = torch.tensor(weights)
    linear.load_state_dict(
        {"weight": weight, "bias": torch.tensor([0.0, -gap - 0.5 * sum(weights)])}
    )
    return nn.Sequential(nn.Flatten(), linear)


def greys(count: int) -> tuple[Tensor, Tensor]:
    return torch.full((count, 1, 3, 4), 0.5), torch.zeros(count, dtype=torch.int64)


def test_the_only_pixel_that_can_fool_is_found() -> None:
    """A step of 0.5 times a weight of 1 passes the gap of 0.4; no other pixel counts."""
    x, y = greys(4)
    found = SparseRS(FewPixels(1), queries=400).run(weighted(0, 0, 0, 1.0), x, y)
    assert found.fooled.all()
    assert found.x_adv.flatten(1)[:, 3].tolist() == [1.0] * 4
    assert FewPixels(1).distance(found.x_adv, x).tolist() == [1] * 4
    assert found.forward_passes < 4 * 400
    assert found.backward_passes == 0


def test_two_pixels_are_needed_where_one_is_too_weak() -> None:
    x, y = greys(4)
    model = weighted(0.5, 0.5)
    one, two = (SparseRS(FewPixels(count), queries=600).run(model, x, y) for count in (1, 2))
    assert not one.fooled.any()
    assert two.fooled.all()
    assert one.loss_per_step[-1] > one.loss_per_step[0]


def test_an_example_is_attacked_alike_in_any_batch() -> None:
    (x, y), model = greys(3), weighted(0.2, 0.2, 0.2, 0.2)
    attack = SparseRS(FewPixels(3), queries=20)
    whole = attack(model, x, y, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    parts = [attack(model, x[:1], y[:1], generator=generator)]
    parts += [attack(model, x[1:], y[1:], generator=generator)]
    assert torch.equal(whole, torch.cat(parts))


def test_more_pixels_than_there_are_and_an_empty_batch_work() -> None:
    x, y = greys(2)
    assert SparseRS(FewPixels(99), queries=50).run(weighted(1.0), x, y).fooled.all()
    assert len(SparseRS(FewPixels(1), queries=3)(weighted(1.0), x[:0], y[:0])) == 0


def test_fewer_pixels_move_as_the_search_goes_on() -> None:
    attack = SparseRS(FewPixels(100), queries=1000)
    assert [attack.moving(query, 100) for query in (1, 5, 20, 999)] == [30, 15, 7, 2]
    assert attack.moving(999, 1) == 1


def test_budgets_are_told_and_impossible_ones_refused() -> None:
    told = SparseRS(FewPixels(24)).describe()
    assert json.loads(json.dumps(told)) == told
    assert (told["norm"], told["eps"], told["queries"], told["share"]) == ("l0", 24, 5000, 0.3)
    with pytest.raises(ValueError, match="share=0"):
        SparseRS(FewPixels(1), share=0)
    with pytest.raises(ValueError, match="norm='l2'; SparseRS knows l0"):
        SparseRS(ThreatModel("l2", 1))  # type: ignore[arg-type]

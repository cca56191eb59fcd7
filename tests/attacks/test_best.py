import pytest
import torch
from torch import Tensor

from advprune.attacks.best import Best, Nearest
from advprune.threat import ThreatModel


def images(*values: float) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1)


def test_one_that_fools_beats_one_of_higher_loss_and_stays() -> None:
    best, rows = Best(images(0, 0)), torch.tensor([0, 1])
    best.offer(rows, images(1, 1), torch.tensor([5.0, 5.0]), torch.tensor([False, False]))
    best.offer(rows, images(2, 2), torch.tensor([4.0, 4.0]), torch.tensor([True, False]))
    best.offer(rows, images(3, 3), torch.tensor([9.0, 6.0]), torch.tensor([False, False]))
    assert best.x.flatten().tolist() == [2, 3]
    assert best.fooled.tolist() == [True, False]
    assert best.left().tolist() == [1]
    assert best.latest.tolist() == [9, 6]


def test_of_several_offers_for_one_image_the_best_is_taken() -> None:
    best, rows = Best(images(0, 0)), torch.tensor([1, 1, 1, 0])
    fooled = torch.tensor([True, True, False, False])
    best.offer(rows, images(1, 2, 3, 4), torch.tensor([3.0, 2.0, 9.0, 1.0]), fooled)
    assert best.x.flatten().tolist() == [4, 1]
    assert best.loss.tolist() == [1, 3]


def test_the_nearest_that_fools_is_kept_within_the_radius_or_not() -> None:
    x = torch.full((3, 1, 1, 2), 0.5)
    nearest = Nearest(ThreatModel("linf", 0.2), x, torch.tensor([True, False, False]))
    moved = torch.tensor([0.4, 0.1, 0.3]).view(3, 1, 1, 1)
    nearest.offer(torch.tensor([1, 1, 2]), x[:1] + moved)
    assert nearest.distance.tolist() == pytest.approx([0, 0.1, 0.3])
    assert nearest.within().tolist() == [True, True, False]
    torch.testing.assert_close(nearest.x[2], x[2] + 0.3)
    torch.testing.assert_close(nearest.allowed(), x + torch.tensor([0, 0.1, 0]).view(3, 1, 1, 1))

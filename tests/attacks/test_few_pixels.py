import pytest
import torch

from advprune.attacks import PGD, FewPixels
from advprune.threat import OutsideThreatError


def test_pixels_are_counted_with_all_their_channels() -> None:
    x = torch.zeros(2, 3, 2, 2)
    changed = x.clone()
    changed[0, 0, 0, 0] = changed[0, 2, 0, 0] = changed[0, 1, 1, 1] = 1
    assert FewPixels(2).distance(changed, x).tolist() == [2, 0]


def test_those_that_changed_most_are_kept_and_bounds_obeyed() -> None:
    x = torch.zeros(1, 1, 1, 4)
    moved = torch.tensor([0.2, 0.0, 1.5, 0.3]).view(1, 1, 1, 4)
    assert FewPixels(2).project(moved, x).flatten().tolist() == pytest.approx([0, 0, 1, 0.3])
    assert torch.equal(FewPixels(9).project(moved, x), moved.clamp(0, 1))


def test_one_pixel_too_many_is_found_out_and_the_smallest_change_counts() -> None:
    x = torch.zeros(1, 1, 2, 2)
    changed = x.clone()
    changed[0, 0, 0] = 1e-7
    FewPixels(2).audit(changed, x)
    with pytest.raises(OutsideThreatError, match="in l0, more than eps=1"):
        FewPixels(1).audit(changed, x)


def test_other_attacks_and_impossible_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="norm='l0'; PGD knows linf, l2, l1"):
        PGD(FewPixels(3))
    with pytest.raises(ValueError, match="pixels=0"):
        FewPixels(0)

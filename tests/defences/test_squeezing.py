import math

import pytest
import torch

from advprune.defences import BitDepth, Median, NonLocalMeans


def test_bits_leave_the_nearest_depth() -> None:
    x = torch.tensor([0.0, 0.16, 0.17, 0.49, 0.51, 0.84, 1.0]).view(1, 1, 1, 7)
    expected = torch.tensor([0.0, 0, 1 / 3, 1 / 3, 2 / 3, 1, 1])
    torch.testing.assert_close(BitDepth(2)(x).flatten(), expected)
    assert BitDepth(1)(x).flatten().tolist() == [0, 0, 0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match="bits=9"):
        BitDepth(9)


def test_the_median_is_that_of_the_window_with_mirrored_borders() -> None:
    x = torch.tensor([[1.0, 2, 3], [4, 9, 6], [7, 8, 5]]).view(1, 1, 3, 3)
    found = Median(3)(x)[0, 0]
    assert found[1, 1] == 5  # of 1 2 3 4 5 6 7 8 9
    assert found[0, 0] == 4  # of 9 4 9, 2 1 2, 9 4 9
    assert Median(2)(x)[0, 0, 0, 0] == 2  # the lower of the middle two of 1 2 4 9


def test_non_local_means_weigh_by_the_likeness_of_patches() -> None:
    x = torch.tensor([0.0, 0, 1]).view(1, 1, 1, 3).expand(1, 1, 3, 3)
    weight = math.exp(-1 / 0.5**2)
    found = NonLocalMeans(search=3, patch=1, strength=0.5)(x)
    # of the middle pixel's window six values are 0 and three are 1
    torch.testing.assert_close(found[0, 0, 1, 1].item(), 3 * weight / (6 + 3 * weight))
    flat = torch.full((2, 3, 6, 6), 0.3)
    torch.testing.assert_close(NonLocalMeans()(flat), flat)
    with pytest.raises(ValueError, match="search=4; allowed are odd"):
        NonLocalMeans(search=4)

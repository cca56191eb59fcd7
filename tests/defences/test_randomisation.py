import pytest
import torch

from advprune.defences import ResizeAndPad


def test_the_image_lies_somewhere_in_some_size_among_zeros() -> None:
    torch.manual_seed(0)
    sides, places = set(), set()
    for _ in range(60):
        out = ResizeAndPad(6)(torch.ones(2, 1, 3, 3))
        assert out.shape == (2, 1, 6, 6)
        rows = out[0, 0].amax(1).nonzero().flatten()
        columns = out[0, 0].amax(0).nonzero().flatten()
        assert out.sum() == 2 * len(rows) * len(columns)
        sides.add(len(rows))
        places.add((len(rows), int(rows[0]), int(columns[0])))
    assert sides == {3, 4, 5}
    assert len(places) > 12  # of 16 + 9 + 4


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="3 by 4; allowed are squares below 6"):
        ResizeAndPad(6)(torch.ones(1, 1, 3, 4))

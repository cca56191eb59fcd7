import json

import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import Spatial


class Centre(nn.Module):
    """Answers 1 where the pixel in the middle is bright."""

    def forward(self, x: Tensor) -> Tensor:
        bright = x[:, 0, x.shape[2] // 2, x.shape[3] // 2] - 0.5
        return torch.stack([-bright, bright], dim=1)


def point() -> tuple[Tensor, Tensor]:
    x = torch.zeros(2, 1, 5, 5)
    x[0, 0, 2, 2] = 1
    return x, torch.tensor([1, 0])


def test_rotations_leave_the_centre_and_shifts_do_not() -> None:
    x, y = point()
    turned = Spatial(shifts=1, rotations=5).run(Centre(), x, y)
    assert not turned.fooled.any()
    shifted = Spatial(share=1 / 5, shifts=3, rotations=1).run(Centre(), x, y)
    assert shifted.fooled.tolist() == [True, False]
    assert shifted.x_adv[0].max() == pytest.approx(1)
    assert torch.equal(shifted.x_adv[1], x[1])


def test_every_point_of_the_grid_is_tried_until_one_fools() -> None:
    x, y = point()
    found = Spatial(share=1 / 5, shifts=3, rotations=1).run(Centre(), x[1:], y[1:])
    assert found.forward_passes == 9
    moves = Spatial(degrees=30, share=0.1, rotations=3, shifts=3).moves()
    assert len(moves) == 27
    assert moves[0] == (0.0, 0.0, 0.0)
    assert sum(abs(part) for part in moves[-1]) == pytest.approx(30.2)


def test_the_grid_is_told_and_impossible_ones_refused() -> None:
    told = Spatial().describe()
    assert json.loads(json.dumps(told)) == told
    assert (told["degrees"], told["rotations"], told["shifts"]) == (30, 31, 5)
    assert (told["norm"], told["eps"]) == (None, None)
    for setting in ({"degrees": -1}, {"share": 1}, {"rotations": 0}, {"shifts": 0}):
        with pytest.raises(ValueError, match=next(iter(setting))):
            Spatial(**setting)

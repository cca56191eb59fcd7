import pytest
import torch

from advprune.defences import DeepMask, steady_units


def test_the_units_that_move_most_are_cut() -> None:
    clean = torch.tensor([[0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0]])
    attacked = torch.tensor([[0.1, 3.0, 2.0, 3.2], [0.1, 0.0, 0.5, 0.0]])  # .2, 2, .5, .2
    mask = steady_units(clean, attacked, 0.5)
    assert mask.tolist() == [1, 0, 0, 1]
    assert DeepMask(mask)(clean)[0].tolist() == [0, 0, 0, 3]
    assert steady_units(clean, attacked, 0.0).tolist() == [1, 1, 1, 1]
    with pytest.raises(ValueError, match="share=1"):
        steady_units(clean, attacked, 1)

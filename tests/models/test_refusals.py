import pytest
import torch
from torch import nn

from advprune.models.refusals import taking

IMAGES = torch.rand(2, 1, 8, 8)


def test_images_that_do_not_fit_are_told_with_the_models_own_words() -> None:
    told = r"the net takes no images of shape \(1, 8, 8\) .* those of the digits are: .*3 channels"
    with pytest.raises(ValueError, match=told), taking("the net", IMAGES, "the digits"):
        nn.Conv2d(3, 4, 3)(IMAGES)


def test_memory_that_ran_out_is_no_misfit() -> None:
    with pytest.raises(torch.OutOfMemoryError), taking("the net", IMAGES, "the digits"):
        raise torch.OutOfMemoryError

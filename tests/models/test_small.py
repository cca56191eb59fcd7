import pytest
import torch

from advprune.models import SmallCNN


def test_its_number_of_parameters_is_as_counted_by_hand() -> None:
    convolutions = 9 * 32 + 32 + 9 * 32 * 64 + 64
    dense = 1024 * 128 + 128 + 128 * 10 + 10
    assert sum(parameter.numel() for parameter in SmallCNN().parameters()) == convolutions + dense


def test_the_images_size_is_free() -> None:
    assert SmallCNN(image_size=13)(torch.rand(2, 1, 13, 13)).shape == (2, 10)


def test_images_too_small_to_pool_are_refused() -> None:
    with pytest.raises(ValueError, match="image_size must be at least 2, got 1"):
        SmallCNN(image_size=1)

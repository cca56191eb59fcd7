import torch

from advprune.data import digits


def test_the_digits_are_1797_grey_images_between_0_and_1() -> None:
    parts = digits.read()
    assert {split: tuple(images.x.shape) for split, images in parts.items()} == {
        "train": (1437, 1, 8, 8),
        "test": (360, 1, 8, 8),
    }
    assert parts["train"].x.min() == 0
    assert parts["train"].x.max() == 1
    assert parts["train"].classes == tuple("0123456789")


def test_the_test_images_hold_each_class_alike_and_never_change() -> None:
    test = digits.read()["test"]
    assert torch.bincount(test.y).tolist() == [36, 36, 36, 36, 37, 36, 36, 36, 35, 36]
    assert test.fingerprint().startswith("373fb4dc")

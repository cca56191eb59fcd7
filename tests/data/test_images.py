import hashlib

import pytest
import torch
from torch import Tensor

from advprune.data import Images
from advprune.data.images import check_batch


def images(x: Tensor, y: list[int], classes: int = 3) -> Images:
    return Images(x, torch.tensor(y), tuple("abc"[:classes]), "mine")


def grey(number: int) -> Tensor:
    return torch.arange(number, dtype=torch.uint8).view(number, 1, 1, 1)


def test_bytes_become_floats_between_0_and_1() -> None:
    x, y = images(torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1), [2]).tensors()
    assert x.dtype == torch.float32
    torch.testing.assert_close(x.flatten(), torch.tensor([0.0, 0.2, 1.0]))
    assert y.tolist() == [2]


def test_bytes_are_kept_as_bytes() -> None:
    assert images(grey(3), [0, 1, 2]).subset([2]).x.dtype == torch.uint8


def test_a_subset_keeps_its_order() -> None:
    chosen = images(grey(3), [0, 1, 2]).subset(torch.tensor([2, 0]))
    assert chosen.y.tolist() == [2, 0]
    assert chosen.x.flatten().tolist() == [2, 0]
    assert len(chosen) == 2


def test_a_subset_may_be_empty() -> None:
    assert len(images(grey(3), [0, 1, 2]).subset([])) == 0


def test_the_fingerprint_is_the_sha256_of_shape_type_and_bytes() -> None:
    expected = hashlib.sha256(
        b"(2, 1, 1, 1) torch.uint8" + bytes([0, 1]) + b"(2,) torch.int64" + bytes([2] + [0] * 15)
    )
    assert images(grey(2), [2, 0]).fingerprint() == expected.hexdigest()


def test_the_fingerprint_tells_a_changed_label_and_a_changed_shape() -> None:
    given = images(grey(2), [0, 1])
    flat = images(torch.tensor([0, 1], dtype=torch.uint8).view(1, 1, 1, 2), [0])
    prints = {given.fingerprint(), images(grey(2), [0, 2]).fingerprint(), flat.fingerprint()}
    assert len(prints) == 3


def test_the_fingerprint_of_a_strided_view_is_that_of_its_values() -> None:
    x = torch.rand(2, 3, 4, 5)
    strided = x.to(memory_format=torch.channels_last)
    assert images(strided, [0, 1]).fingerprint() == images(x, [0, 1]).fingerprint()


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        (torch.rand(2, 8, 8), [0, 1], "must be .number, channels, height, width., got .2, 8, 8."),
        (torch.rand(2, 1, 8, 8).double(), [0, 1], "uint8 or float32, got torch.float64"),
        (torch.rand(2, 1, 8, 8), [0], "2 images need 2 labels"),
        (torch.rand(2, 1, 8, 8), [0, 3], "labels must be 0 to 2.*got a label 3"),
        (torch.rand(2, 1, 8, 8), [0, -1], "got a label -1"),
        (torch.full((1, 1, 8, 8), 255.0), [0], r"\[0, 1\], got 255 to 255. Divide"),
        (torch.full((1, 1, 8, 8), -0.4), [0], "first layer, models.Normalize"),
        (torch.full((1, 1, 8, 8), float("nan")), [0], "got nan to nan"),
    ],
)
def test_what_are_no_labelled_images_is_refused(x: Tensor, y: list[int], reason: str) -> None:
    with pytest.raises(ValueError, match=f"^mine: .*{reason}"):
        images(x, y)


def test_a_batch_from_anywhere_comes_out_as_float32_and_int64() -> None:
    x, y = check_batch(torch.rand(2, 1, 4, 4).double(), torch.tensor([0, 1]).int(), "batch")
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)


@pytest.mark.parametrize(
    ("y", "reason"),
    [
        (torch.tensor([0.0, 1.0]), "integer class indices, got torch.float32"),
        (torch.eye(2).long(), r"2 labels, got \(2, 2\)"),
    ],
)
def test_labels_that_are_no_class_indices_are_refused(y: Tensor, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_batch(torch.rand(2, 1, 4, 4), y, "batch")


def test_images_of_whole_numbers_other_than_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"uint8 or floating point, got torch.int64"):
        check_batch(torch.ones(1, 1, 4, 4).long(), torch.tensor([0]), "batch")

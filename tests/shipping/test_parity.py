from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from advprune.shipping.parity import Parity, check, compare

LOGITS = torch.tensor([[3.0, 1.0], [-4.0, 2.0]])


def fixed(logits: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda images: logits[: len(images)]


def test_differences_are_measured_and_classes_compared() -> None:
    found = compare(fixed(torch.tensor([[3.0, 1.5], [3.0, 2.0]])), torch.zeros(2, 1, 1, 1), LOGITS)
    assert found == Parity(images=2, difference=7.0, largest=4.0, same_top1=0.5)
    assert found.relative == 1.75


def test_the_first_image_alone_is_compared_too() -> None:
    def file(images: Tensor) -> Tensor:
        return LOGITS if len(images) == 2 else LOGITS[:1] + 1

    assert compare(file, torch.zeros(2, 1, 1, 1), LOGITS).difference == 1


def test_answers_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"answers \(2, 1\) to 2 images"):
        compare(fixed(LOGITS[:, :1]), torch.zeros(2, 1, 1, 1), LOGITS)


@pytest.mark.parametrize(
    ("parity", "int8", "fine"),
    [
        (Parity(100, 1e-5, 1.0, 1.0), False, True),
        (Parity(100, 2e-4, 1.0, 1.0), False, False),
        (Parity(100, float("nan"), 1.0, 1.0), False, False),
        (Parity(100, 1e-5, 1.0, 0.99), False, False),
        (Parity(100, 0.3, 1.0, 0.95), True, True),
        (Parity(100, 0.3, 1.0, 0.94), True, False),
    ],
)
def test_float32_must_match_and_int8_must_agree(parity: Parity, int8: bool, fine: bool) -> None:
    if fine:
        check(parity, int8=int8)
    else:
        with pytest.raises(ValueError, match=f"{parity.same_top1:.2%} of 100 images"):
            check(parity, int8=int8)

import math

import pytest
import torch

from advprune.attacks.losses import (
    LOSSES,
    cross_entropy,
    divergence_from,
    dlr,
    find_loss,
    margin,
    targeted,
)

LOGITS = torch.tensor([[4.0, 1.0, 2.0, 0.0], [0.0, 0.0, 0.0, 3.0]])
LABELS = torch.tensor([0, 1])


def test_cross_entropy_is_minus_the_log_of_the_labels_share() -> None:
    losses = cross_entropy(torch.tensor([[0.0, math.log(3)]]), torch.tensor([0]))
    torch.testing.assert_close(losses, torch.tensor([math.log(4)]))


def test_margin_is_the_largest_other_logit_less_the_labels() -> None:
    assert margin(LOGITS, LABELS).tolist() == [-2, 3]


def test_dlr_is_the_margin_over_first_less_third_logit() -> None:
    torch.testing.assert_close(dlr(LOGITS, LABELS), torch.tensor([-2 / 3, 1.0]))


def test_dlr_does_not_change_with_scale_and_shift() -> None:
    torch.testing.assert_close(dlr(7 * LOGITS + 3, LABELS), dlr(LOGITS, LABELS))


def test_dlr_of_two_classes_is_refused_with_the_cure() -> None:
    with pytest.raises(ValueError, match="2 classes; it needs 3 or more: use 'margin'"):
        dlr(LOGITS[:, :2], LABELS)


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_rises_as_the_labels_logit_falls(name: str) -> None:
    logits = LOGITS.clone().requires_grad_()
    LOSSES[name](logits, LABELS).sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad.gather(1, LABELS[:, None]) < 0).all()


def test_targeted_loss_is_the_negative_at_the_target() -> None:
    assert targeted(margin)(LOGITS, LABELS).tolist() == [2, -3]
    with pytest.raises(ValueError, match="loss='dlr' with a target; allowed are"):
        targeted(dlr)


def test_a_loss_is_found_by_name_or_is_itself() -> None:
    assert find_loss("margin") is margin
    assert find_loss(dlr) is dlr
    with pytest.raises(ValueError, match="loss='hinge' is unknown; allowed are cross_entropy"):
        find_loss("hinge")


def test_the_divergence_from_an_answer_is_that_of_hand() -> None:
    loss = divergence_from(torch.tensor([[3.0, 1.0], [1.0, 1.0]]).log())
    found = loss(torch.tensor([[1.0, 1.0], [1.0, 4.0]]).log(), torch.zeros(2, dtype=torch.int64))
    expected = [
        0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5),
        0.5 * math.log(0.5 / 0.2) + 0.5 * math.log(0.5 / 0.8),
    ]
    assert found.tolist() == pytest.approx(expected)

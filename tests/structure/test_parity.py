import torch
from torch import nn

from advprune.structure.parity import difference, mismatch

X = torch.ones(2, 2)


def test_equal_networks_have_no_mismatch() -> None:
    model = nn.Linear(2, 3)
    assert mismatch(model, X, model(X).detach()) is None
    assert mismatch(model, X, model(X).detach() * (1 + 1e-5)) is None


def test_a_mismatch_says_what_differs() -> None:
    model = nn.Linear(2, 3)
    expected = model(X).detach()
    assert "logits differ by" in str(mismatch(model, X, expected * 1.001))
    assert "logits differ by nan" in str(mismatch(model, X, expected * torch.nan))
    assert "shape (2, 3), not (2, 4)" in str(mismatch(model, X, torch.ones(2, 4)))
    assert "a width is fixed" in str(mismatch(nn.Linear(5, 3), X, expected))


def test_several_answers_are_compared_one_by_one() -> None:
    one, two = torch.ones(2, 3), torch.zeros(2, 3)
    assert difference((one, two), (one, two)) is None
    assert "logits differ by 1" in str(difference((one, one + 1), (one, one)))
    assert difference({"a": one, "b": None}, {"a": one, "b": None}) is None
    assert "it gives" in str(difference((one,), (one, two)))
    assert "a tuple, not one tensor" in str(difference((one,), one))

import torch
from torch import nn

from advprune.structure.parity import mismatch

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

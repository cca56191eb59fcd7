import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from advprune.attacks import PGD, SPSA, BlackBox
from advprune.threat import ThreatModel

X = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(0))


def runtime(images: NDArray[np.float32]) -> NDArray[np.float32]:
    total = images.sum(axis=(1, 2, 3))
    return np.stack([total, 2 * np.ones_like(total)], axis=1)


def test_a_runtime_of_arrays_answers_like_a_model() -> None:
    seen = []

    def answer(x: Tensor) -> NDArray[np.float32]:
        seen.append(x)
        return runtime(x.numpy())

    logits = BlackBox(answer)(X.transpose(2, 3).requires_grad_())
    torch.testing.assert_close(logits, torch.from_numpy(runtime(X.numpy())))
    assert seen[0].is_contiguous()
    assert not seen[0].requires_grad


def test_classes_become_logits() -> None:
    answer = BlackBox(lambda x: runtime(x.numpy()).argmax(1), classes=3)
    assert torch.equal(answer(X).argmax(1), torch.from_numpy(runtime(X.numpy()).argmax(1)))
    assert answer(X).sum(1).tolist() == [1.0] * 5


def test_it_is_attacked_by_queries_and_refused_by_gradients() -> None:
    model, y = BlackBox(lambda x: runtime(x.numpy())), torch.zeros(5, dtype=torch.int64)
    x, threat = torch.full_like(X, 0.6), ThreatModel("linf", 0.2)
    assert SPSA(threat, steps=20, directions=4).run(model, x, y).fooled.all()
    with pytest.raises(ValueError, match="no gradient with respect to its input"):
        PGD(threat, steps=2).run(model, x, y)


def test_classes_out_of_range_and_without_number_are_refused() -> None:
    with pytest.raises(ValueError, match="say how many, as in classes=10"):
        BlackBox(lambda x: torch.zeros(len(x)))(X)
    with pytest.raises(ValueError, match=r"classes in \[7, 7\]; with classes=5 allowed are 0 to 4"):
        BlackBox(lambda x: torch.full((len(x),), 7), classes=5)(X)
    with pytest.raises(ValueError, match="classes=1"):
        BlackBox(nn.Identity(), classes=1)

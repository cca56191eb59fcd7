import pytest
import torch
from torch import nn

from advprune.evaluation import model_hash
from advprune.evaluation.sample import stratified

CLASSES = torch.tensor([0] * 50 + [1] * 30 + [3] * 20)


@pytest.mark.parametrize("number", [1, 10, 37, 100])
def test_every_class_keeps_its_share_to_one_example(number: int) -> None:
    drawn = torch.bincount(CLASSES[stratified(CLASSES, number, seed=0)], minlength=4)
    assert drawn.sum() == number
    for count, share in zip(drawn.tolist(), (0.5, 0.3, 0.0, 0.2), strict=True):
        assert abs(count - share * number) <= 1


def test_the_draw_follows_the_seed_and_repeats_nobody() -> None:
    first, again, other = (stratified(CLASSES, 20, seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.tolist() == sorted(set(first.tolist()))


def test_the_models_hash_covers_buffers_and_names() -> None:
    model = nn.BatchNorm2d(2)
    before = model_hash(model)
    assert model_hash(model) == before
    model(torch.rand(2, 2, 3, 3))
    assert model_hash(model) != before
    assert model_hash(nn.Sequential(nn.BatchNorm2d(2))) != before

import pytest
import torch
from torch import nn

from advprune.evaluation import model_hash
from advprune.evaluation.sample import gather


def test_a_subset_is_that_part_of_the_data_in_its_order() -> None:
    x, y = torch.rand(20, 1, 2, 2), torch.arange(20) % 2
    sample = gather((x, y), 8, subset=6, seed=1)
    assert torch.equal(sample.x, x[sample.indices])
    assert torch.equal(sample.y, y[sample.indices])
    assert sample.y.sum() == 3
    assert (len(sample), sample.whole) == (6, 20)


@pytest.mark.parametrize("subset", [0, 21])
def test_a_subset_that_is_not_there_is_refused(subset: int) -> None:
    with pytest.raises(ValueError, match="1 to 20"):
        gather((torch.rand(20, 1, 2, 2), torch.zeros(20).long()), 8, subset=subset, seed=0)


def test_the_models_hash_covers_buffers_and_names() -> None:
    model = nn.BatchNorm2d(2)
    before = model_hash(model)
    assert model_hash(model) == before
    model(torch.rand(2, 2, 3, 3))
    assert model_hash(model) != before
    assert model_hash(nn.Sequential(nn.BatchNorm2d(2))) != before

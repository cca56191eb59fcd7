import math

import torch
from torch import Tensor

from advprune.defences import roc_area, squeezing_score


def test_the_score_is_the_largest_change_of_the_probabilities() -> None:
    def model(x: Tensor) -> Tensor:
        return torch.cat([x.flatten(1), torch.zeros(len(x), 1)], dim=1)

    x = torch.tensor([math.log(3.0), 0.0]).view(2, 1, 1, 1)  # 3/4, 1/2
    score = squeezing_score(model, [lambda x: x, torch.zeros_like], x)
    torch.testing.assert_close(score, torch.tensor([0.5, 0.0]))


def test_the_area_counts_pairs_in_order_and_ties_half() -> None:
    assert roc_area(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0])) == 0.875
    assert roc_area(torch.tensor([0.5]), torch.tensor([0.5])) == 0.5

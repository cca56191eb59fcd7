import pytest
import torch
from torch import Tensor

from advprune.attacks import RandomNoise
from advprune.threat import ThreatModel

X, Y = torch.full((4, 1, 1, 1), 0.5), torch.zeros(4, dtype=torch.int64)


def above(level: float, x: Tensor) -> Tensor:
    score = x.flatten(1) - level
    return torch.cat([-score, score], dim=1)


@pytest.mark.parametrize(("level", "fooled"), [(0.52, True), (0.61, False)])
def test_it_fools_where_much_of_the_ball_does_and_never_leaves_it(
    level: float, fooled: bool
) -> None:
    attack = RandomNoise(ThreatModel("linf", 0.1), draws=30)
    result = attack.run(lambda x: above(level, x), X, Y)
    assert result.fooled.tolist() == [fooled] * 4


def test_an_examples_noise_does_not_depend_on_the_batch() -> None:
    attack = RandomNoise(ThreatModel("l2", 0.1), draws=3)
    together = attack(lambda x: above(0.55, x), X, Y)
    assert torch.equal(attack(lambda x: above(0.55, x), X[:2], Y[:2]), together[:2])


def test_queries_are_counted_and_told() -> None:
    attack = RandomNoise(ThreatModel("linf", 0.01), draws=7)
    assert attack.run(lambda x: above(0.9, x), X, Y).forward_passes == 28
    assert attack.describe()["draws"] == 7
    with pytest.raises(ValueError, match="draws=0"):
        RandomNoise(ThreatModel("linf", 0.1), draws=0)

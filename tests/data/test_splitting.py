import pytest
import torch

from advprune.data.splitting import stratified

LABELS = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)


def test_every_class_gives_its_share() -> None:
    _, drawn = stratified(LABELS, 10, seed=0)
    assert torch.bincount(LABELS[drawn]).tolist() == [6, 3, 1]


@pytest.mark.parametrize("number", [0, 1, 7, 33, 99])
def test_shares_differ_from_proportion_by_less_than_one_image(number: int) -> None:
    _, drawn = stratified(LABELS, number, seed=3)
    exact = torch.bincount(LABELS) * number / 100
    assert len(drawn) == number
    assert (torch.bincount(LABELS[drawn], minlength=3) - exact).abs().max() < 1


def test_both_parts_together_are_everything_once() -> None:
    kept, drawn = stratified(LABELS, 25, seed=0)
    assert torch.cat([kept, drawn]).sort().values.tolist() == list(range(100))


def test_the_seed_decides_and_global_randomness_is_left_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (stratified(LABELS, 25, seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("number", [-1, 101])
def test_more_than_there_are_cannot_be_drawn(number: int) -> None:
    with pytest.raises(ValueError, match="0 to 100"):
        stratified(LABELS, number, seed=0)

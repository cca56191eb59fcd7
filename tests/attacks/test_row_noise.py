import torch

from advprune.attacks.row_noise import RowNoise


def test_an_examples_numbers_depend_on_neither_the_batch_nor_who_has_left() -> None:
    everybody = RowNoise(4)
    both = [everybody.uniform(torch.arange(4), 3), everybody.uniform(torch.tensor([1, 3]), 3)]
    pair = RowNoise(2)
    assert torch.equal(pair.uniform(torch.arange(2), 3), both[0][:2])
    assert torch.equal(pair.uniform(torch.tensor([1]), 3), both[1][:1])
    assert len(set(torch.cat(both).flatten().tolist())) == 18


def test_signs_are_fair_and_nobody_is_nothing() -> None:
    signs = RowNoise(2, torch.Generator().manual_seed(3)).signs(torch.arange(2), 4000)
    assert set(signs.flatten().tolist()) == {-1.0, 1.0}
    assert signs.mean(1).abs().max() < 0.05
    assert RowNoise(0).uniform(torch.arange(0), 2, 3).shape == (0, 2, 3)

import pytest
import torch

from advprune.defences import ActivationPruning


def test_what_is_drawn_is_scaled_by_the_chance_of_being_drawn() -> None:
    torch.manual_seed(0)
    h = torch.tensor([[1.0, -3.0, 0.0, 0.0]])  # p = 1/4, 3/4; two draws
    seen = torch.cat([ActivationPruning(0.5)(h) for _ in range(2000)])
    kept = torch.tensor([1 - (3 / 4) ** 2, 1 - (1 / 4) ** 2])
    torch.testing.assert_close(seen[:, 0].max(), 1 / kept[0])
    torch.testing.assert_close(seen[:, 1].min(), -3 / kept[1])
    torch.testing.assert_close((seen[:, :2] != 0).float().mean(0), kept, atol=0.04, rtol=0)
    torch.testing.assert_close(seen.mean(0), h[0], atol=0.1, rtol=0)


def test_nothing_alive_stays_nothing_and_no_share_is_refused() -> None:
    assert not ActivationPruning()(torch.zeros(2, 3, 2)).any()
    with pytest.raises(ValueError, match="share=0"):
        ActivationPruning(0)

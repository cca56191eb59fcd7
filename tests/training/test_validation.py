import torch
from torch import Tensor, nn

from advprune.data import Images
from advprune.threat import ThreatModel
from advprune.training.validation import Accuracy, measure


class Brightness(nn.Module):
    """Class 1 for pixels above 0.5, by a margin that grows linearly."""

    def forward(self, x: Tensor) -> Tensor:
        bright = x.flatten(1).mean(1)
        return torch.stack([0.5 - bright, bright - 0.5], dim=1)


def _images() -> Images:
    """0.9 is safe at eps 0.2, 0.6 can be darkened past the edge, and 0.7 has a wrong label."""
    x = torch.tensor([0.9, 0.6, 0.7]).view(3, 1, 1, 1).expand(3, 1, 2, 2).contiguous()
    return Images(x, torch.tensor([1, 1, 0]), ("dark", "bright"), "grey")


def _measured(seed: int) -> Accuracy:
    return measure(
        Brightness(),
        _images(),
        ThreatModel("linf", 0.2),
        steps=5,
        batch_size=2,
        seed=seed,
        device=torch.device("cpu"),
    )


def test_accuracies_are_those_known_by_hand() -> None:
    assert _measured(seed=0) == Accuracy(clean=2 / 3, robust=1 / 3)


def test_nothing_is_drawn_from_the_global_random_state() -> None:
    before = torch.get_rng_state()
    _measured(seed=1)
    assert torch.equal(torch.get_rng_state(), before)

import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.data import Images
from advprune.threat import ThreatModel
from advprune.training.validation import Accuracy, measure


class Brightness(nn.Module):
    """Class 1 for pixels above 0.5, by a margin that grows linearly."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[-0.25], [0.25]]).expand(2, 4).clone())
        self.bias = nn.Parameter(torch.tensor([0.5, -0.5]))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x.flatten(1), self.weight, self.bias)


def _images() -> Images:
    """0.9 is safe at eps 0.2, 0.6 can be darkened past the edge, and 0.7 has a wrong label."""
    x = torch.tensor([0.9, 0.6, 0.7]).view(3, 1, 1, 1).expand(3, 1, 2, 2).contiguous()
    return Images(x, torch.tensor([1, 1, 0]), ("dark", "bright"), "grey")


def _measured(seed: int, bound: str | None = None) -> Accuracy:
    return measure(
        Brightness(),
        _images(),
        ThreatModel("linf", 0.2),
        steps=5,
        batch_size=2,
        seed=seed,
        device=torch.device("cpu"),
        bound=bound,
    )


def test_accuracies_are_those_known_by_hand() -> None:
    assert _measured(seed=0) == Accuracy(clean=2 / 3, robust=1 / 3)


def test_a_bound_certifies_what_is_robust_here_and_chooses_then() -> None:
    found = _measured(seed=0, bound="ibp")
    assert found == Accuracy(clean=2 / 3, robust=1 / 3, certified=1 / 3)
    assert found.score == found.certified
    assert _measured(seed=0).score == 1 / 3
    assert set(_measured(seed=0).shares()) == {"clean", "robust"}


def test_nothing_is_drawn_from_the_global_random_state() -> None:
    before = torch.get_rng_state()
    _measured(seed=1)
    assert torch.equal(torch.get_rng_state(), before)

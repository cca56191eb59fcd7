import pytest
import torch
from torch import Tensor, nn

from advprune.evaluation import evaluate
from advprune.evaluation.fresh import fresh_source
from advprune.threat import ThreatModel


def images() -> tuple[Tensor, Tensor]:
    """Four pixels around 0.4 or 0.6; the class is which."""
    y = torch.arange(128) % 2
    noise = 0.05 * torch.rand(128, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    return 0.375 + 0.2 * y.view(-1, 1, 1, 1) + noise, y


class Hidden(nn.Module):
    """Answers right, by steps that have no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.f1, self.f2 = nn.Linear(1, 16), nn.Linear(16, 2)
        self.steep = False

    def forward(self, x: Tensor) -> Tensor:
        grey = 10 * (x.flatten(1).mean(1, keepdim=True) - 0.5)
        if self.steep:
            return torch.tanh(1e4 * torch.cat([-grey, grey], dim=1))
        logits: Tensor = self.f2(self.f1(grey).relu())
        return logits


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(4, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(16, 2),
    )


def test_a_network_of_the_same_layers_learns_the_images_from_other_weights() -> None:
    model, (x, y) = net(), images()
    before, state = torch.get_rng_state(), {k: v.clone() for k, v in model.state_dict().items()}
    source = fresh_source(model.requires_grad_(False), (x, y), epochs=30, seed=1)
    assert (source(x).argmax(1) == y).float().mean() > 0.95
    assert not source.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    again, other = (fresh_source(model, (x, y), epochs=1, seed=seed)(x) for seed in (1, 2))
    assert torch.equal(again, fresh_source(model, (x, y), epochs=1, seed=1)(x))
    assert not torch.equal(again, other)


def test_its_attacks_break_what_masked_gradients_hide() -> None:
    model, (x, y) = Hidden(), images()
    source = fresh_source(model, (x, y), epochs=100)
    model.steep = True
    result = evaluate(model, (x, y), ThreatModel("linf", 0.15), "paper", {"fresh": source})
    assert result.attacks["pgd40"].accuracy > 0.5
    assert result.attacks["transfer:fresh"].accuracy < 0.1
    assert "transfer stronger than white-box" in {finding.name for finding in result.warnings}


class Bare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.shift = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(x.flatten(1)) + self.shift
        return logits


def test_weights_that_no_layer_draws_anew_are_named() -> None:
    with pytest.raises(ValueError, match=r"Bare cannot.*\(shift\)"):
        fresh_source(Bare(), images())
    with pytest.raises(ValueError, match=r"Flatten cannot.*\(none\)"):
        fresh_source(nn.Flatten(), images())
    with pytest.raises(ValueError, match="epochs=0"):
        fresh_source(net(), images(), epochs=0)

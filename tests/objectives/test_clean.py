import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.gates import GatedModel
from advprune.objectives import Batch, Coefficients
from advprune.objectives.clean import bayesian_pruning, standard

Y = torch.tensor([0, 1, 2, 0, 1])


def no_adversary(x: Tensor, y: Tensor, /, away_from: object = None) -> Tensor:
    raise AssertionError("nothing is to be attacked")


def test_standard_training_is_cross_entropy(make_chain: type[nn.Module], images: Tensor) -> None:
    model = make_chain().eval()
    losses = standard(model, Batch(images, Y), no_adversary, Coefficients())
    logits = model(images)
    torch.testing.assert_close(losses.weights, functional.cross_entropy(logits, Y))
    hits = (logits.argmax(1) == Y).sum().item() / 5
    assert losses.parts["clean_accuracy"].item() == pytest.approx(hits)
    assert losses.gates is None


def test_bayesian_pruning_adds_the_divergence_for_both_groups(
    learned_chain: GatedModel, images: Tensor
) -> None:
    settings = Coefficients(beta=2.0, examples=100)
    losses = bayesian_pruning(learned_chain, Batch(images, Y), no_adversary, settings)
    clean = functional.cross_entropy(learned_chain(images), Y)
    expected = clean + 2 * learned_chain.kl() / 100
    torch.testing.assert_close(losses.weights, expected)
    assert losses.gates is not None
    torch.testing.assert_close(losses.gates, expected)
    torch.testing.assert_close(losses.parts["kl"], (2 * learned_chain.kl() / 100).detach())

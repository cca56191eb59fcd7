import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.models.gaussian import GaussianModel
from advprune.models.sparse_gaussian import SparseModel
from advprune.objectives import Batch, Coefficients, Objective
from advprune.objectives.gaussian import adv_bnn, variational_dropout

Y = torch.tensor([0, 1, 2, 0, 1])


def inverted(x: Tensor, y: Tensor, /, away_from: object = None) -> Tensor:
    return 1 - x


def test_the_loss_is_that_of_adversarial_training_and_the_divergence(
    make_chain: type[nn.Module], images: Tensor
) -> None:
    model = GaussianModel(make_chain()).eval()
    losses = adv_bnn(model, Batch(images, Y), inverted, Coefficients(beta=2.0, examples=50))
    clean = functional.cross_entropy(model.model(images), Y)
    attacked = functional.cross_entropy(model.model(1 - images), Y)
    torch.testing.assert_close(losses.weights, (clean + 2 * attacked) / 3 + 2 * model.kl() / 50)
    assert losses.gates is None


def test_variational_dropout_adds_the_divergence_to_the_clean_cross_entropy(
    make_chain: type[nn.Module], images: Tensor
) -> None:
    model = SparseModel(make_chain()).eval()
    coefficients = Coefficients(beta=2.0, examples=50)
    losses = variational_dropout(model, Batch(images, Y), inverted, coefficients)
    clean = functional.cross_entropy(model.shipped()(images), Y)
    torch.testing.assert_close(losses.weights, clean + 2 * model.kl() / 50)
    assert losses.gates is None


@pytest.mark.parametrize("objective", [adv_bnn, variational_dropout])
def test_it_takes_gaussian_weights(
    objective: Objective, make_chain: type[nn.Module], images: Tensor
) -> None:
    with pytest.raises(ValueError, match="Chain has none"):
        objective(make_chain(), Batch(images, Y), inverted, Coefficients())

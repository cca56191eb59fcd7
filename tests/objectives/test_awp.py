import pytest
import torch
from torch import Tensor, nn

from advprune.gates import GatedModel
from advprune.objectives import Batch, Coefficients, Losses, perturbed
from advprune.objectives.awp import moved
from advprune.objectives.robust import ADVERSARIAL, madry

Y = torch.tensor([0, 1, 2, 0, 1])


def half_power(model: nn.Module, batch: Batch, adversary: object, settings: Coefficients) -> Losses:
    """`(w · x)² / 2`, whose gradient is `(w · x) x`."""
    return Losses(0.5 * model(batch.x).square().sum(), None, {})


def line() -> nn.Linear:
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[3.0, 4.0]])
    return layer


def test_the_gradient_is_that_at_weights_moved_uphill_by_a_share_of_their_norm() -> None:
    layer, x = line(), torch.tensor([[1.0, 0.0]])
    batch = Batch(x, torch.tensor([0]))
    losses = perturbed(half_power, 0.1)(layer, batch, None, Coefficients())  # type: ignore[arg-type]
    assert losses.weights.item() == pytest.approx(0.5 * 3.5**2)  # v = 0.1 · 5 · (1, 0)
    (gradient,) = torch.autograd.grad(losses.weights, layer.weight)
    torch.testing.assert_close(gradient, torch.tensor([[3.5, 0.0]]))
    assert layer.weight.tolist() == [[3.0, 4.0]]
    assert isinstance(layer.weight, nn.Parameter)


def test_weights_come_back_after_an_error() -> None:
    layer = line()
    with pytest.raises(RuntimeError), moved(layer, {"weight": torch.ones(1, 2)}):
        layer(torch.ones(1, 7))
    assert layer.weight.tolist() == [[3.0, 4.0]]


class Counting:
    calls = 0

    def __call__(self, x: Tensor, y: Tensor, /, away_from: object = None) -> Tensor:
        self.calls += 1
        return 1 - x


def test_images_are_attacked_once_and_statistics_move_once(
    make_chain: type[nn.Module], images: Tensor
) -> None:
    chain, adversary = make_chain().train(), Counting()
    perturbed(madry, 0.1)(chain, Batch(images, Y), adversary, Coefficients())
    assert adversary.calls == 1
    assert chain.get_buffer("bn1.num_batches_tracked").item() == 1


def test_gates_stay_where_they_are(learned_chain: GatedModel, images: Tensor) -> None:
    kl = learned_chain.kl().item()
    losses = perturbed(ADVERSARIAL.prune, 0.1)(
        learned_chain, Batch(images, Y), Counting(), Coefficients(examples=10)
    )
    plain = ADVERSARIAL.prune(learned_chain, Batch(images, Y), Counting(), Coefficients())
    assert losses.parts["kl"].item() == pytest.approx(kl / 10)
    assert losses.weights.item() > plain.weights.item()

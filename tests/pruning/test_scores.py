import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.gates import GatedModel, gate
from advprune.models.parts import Latent
from advprune.pruning import SCORES, worth

Y = torch.tensor([0, 1, 2, 0, 1])


def shifted(_model: nn.Module, x: Tensor, _y: Tensor) -> Tensor:
    """Stands for an attack: darker images."""
    return x * 0.5


def closed_loss(gated: GatedModel, unit: int, step: float, views: tuple[Tensor, ...]) -> Tensor:
    values = torch.ones(1, gated.structure.units, dtype=torch.float64)
    values[0, unit] -= step
    with torch.no_grad(), gated.board.holding(values):
        return sum(  # type: ignore[return-value]
            functional.cross_entropy(gated.model(images), Y, reduction="none") for images in views
        )


@pytest.mark.parametrize(
    ("name", "chosen"), [("worth", (0, 1)), ("clean_worth", (0,)), ("adversarial_worth", (1,))]
)
def test_a_unit_is_worth_what_the_losses_move_without_it(
    chain: GatedModel, images: Tensor, name: str, chosen: tuple[int, ...]
) -> None:
    chain, x = chain.double(), images.double()
    both = x, shifted(chain, x, Y)
    views = tuple(both[number] for number in chosen)
    found = SCORES[name](chain, [(x[:2], Y[:2]), (x[2:], Y[2:])], shifted)
    for unit in range(chain.structure.units):
        slope = closed_loss(chain, unit, 1e-6, views) - closed_loss(chain, unit, -1e-6, views)
        assert float(found[unit]) == pytest.approx(float((slope / 2e-6).abs().mean()), abs=1e-6)


def test_a_unit_that_nothing_reads_is_worth_nothing(chain: GatedModel, images: Tensor) -> None:
    chain.model.get_parameter("f2.weight").data[:, 1] = 0
    found = chain.structure.split(worth(chain, [(images, Y)], shifted))
    assert float(found["f1"][1]) == 0
    assert int((torch.cat(list(found.values())) > 0).sum()) >= 8


def test_modes_and_weights_are_left_alone(chain: GatedModel, images: Tensor) -> None:
    before = copy.deepcopy(chain.train().state_dict())
    worth(chain, [(images, Y)], shifted)
    assert chain.training
    assert all(torch.equal(value, before[name]) for name, value in chain.state_dict().items())
    assert all(parameter.grad is None for parameter in chain.parameters())


def test_no_images_are_refused(chain: GatedModel) -> None:
    with pytest.raises(ValueError, match="no images"):
        worth(chain, [], shifted)


class Toy(nn.Module):
    """h = ReLU((x0, 2 x1, x0 + x1, -x1)), logits (0.1 h0 + h1 + h2, h3)."""

    latent = (Latent("h", "relu", group="f1", gated=True),)

    def __init__(self) -> None:
        super().__init__()
        self.f1, self.relu, self.f2 = nn.Linear(2, 4, bias=False), nn.ReLU(), nn.Linear(4, 2)
        self.f1.weight.data = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [0.0, -1.0]])
        self.f2.weight.data = torch.tensor([[0.1, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
        self.f2.bias.data.zero_()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.f2(self.relu(self.f1(x.flatten(1))))
        return logits


X = torch.tensor([[0.1, 0.8]]).view(1, 1, 1, 2)  # h = (0.1, 1.6, 0.9, 0)
X_ADV = torch.tensor([[0.4, 0.6]]).view(1, 1, 1, 2)  # h = (0.4, 1.2, 1, 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vulnerability", [3, 2, 4, 0]),  # v = (0.3, 0.4, 0.1), the last unit never fires
        ("reverse_vulnerability", [3, 4, 2, 0]),
        ("relative_vulnerability", [2, 3, 4, 0]),  # (3, 1/4, 1/9)
        ("margin_vulnerability", [4, 2, 3, 0]),  # (0.03, 0.4, 0.1)
        ("magnitude", [1, 2, 2, 1]),
    ],
)
def test_places_and_magnitudes_are_those_of_hand(name: str, expected: list[float]) -> None:
    toy = gate(Toy(), X, "fixed").eval()
    found = SCORES[name](toy, [(X, torch.tensor([0]))], lambda *_: X_ADV)
    scale = 4.0 if name != "magnitude" else 1.5
    assert (found * scale).tolist() == pytest.approx(expected)

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.bounds import BOUNDS, Region, network, worst_cross_entropy
from advprune.gates import GatedModel
from advprune.objectives import OBJECTIVES, Batch, Certificate, Coefficients
from advprune.threat import ThreatModel

Y = torch.tensor([0, 1, 2, 0, 1])
THREAT = ThreatModel("linf", 0.1)
HALF = Certificate(THREAT, "ibp", clean_weight=0.25)


def adversary(x: Tensor, y: Tensor, /, away_from: object = None) -> Tensor:
    raise AssertionError("nothing is attacked")


class Odds(nn.Module):
    """Logits (pixel · log 3, 0)."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor([[math.log(3.0)], [0.0]]))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x.flatten(1), self.factor)


def test_the_worst_pixel_decides_the_certified_loss(pixels: Batch) -> None:
    threat = ThreatModel("linf", 1.0)  # the white pixel may turn black: odds of 1 to 1
    coefficients = Coefficients(certificate=Certificate(threat, "ibp", clean_weight=0.5))
    loss = OBJECTIVES["certified"](Odds(), pixels, adversary, coefficients)
    clean = (math.log(4 / 3) + math.log(4)) / 2
    worst = (math.log(2) + math.log(4)) / 2  # class 1 cannot lose more than it does
    assert loss.weights.item() == pytest.approx((clean + worst) / 2)
    assert loss.parts["certified_loss"].item() == pytest.approx(worst)
    assert loss.parts["certified_accuracy"].item() == 0
    assert loss.gates is None


def test_the_linear_share_mixes_both_bounds(make_chain: type[nn.Module], images: Tensor) -> None:
    model = make_chain().eval()
    bounded, region = network(model, images), Region(images, THREAT)
    losses = [worst_cross_entropy(bounded, region, Y, 3, linear_share=s).loss for s in (0.0, 1.0)]
    certificate = Certificate(THREAT, "crown_ibp", clean_weight=0.0, linear_share=0.3)
    found = OBJECTIVES["certified"](
        model, Batch(images, Y), adversary, Coefficients(certificate=certificate)
    )
    torch.testing.assert_close(found.weights, (0.7 * losses[0] + 0.3 * losses[1]).mean())


@pytest.mark.parametrize("bound", BOUNDS)
def test_each_bound_can_be_trained_on(
    bound: str, make_chain: type[nn.Module], images: Tensor
) -> None:
    model = make_chain().eval()
    certificate = Certificate(THREAT, bound, clean_weight=0.0)
    coefficients = Coefficients(certificate=certificate)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for _ in range(3):
        loss = OBJECTIVES["certified"](model, Batch(images, Y), adversary, coefficients).weights
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] > losses[1] > losses[2]


def test_gates_learn_from_the_worst_images_and_the_divergence(
    learned_chain: GatedModel, images: Tensor
) -> None:
    gated = learned_chain.train()
    coefficients = Coefficients(beta=4.0, examples=50, gate_clean_weight=0.5, certificate=HALF)
    torch.manual_seed(5)
    found = OBJECTIVES["certified_pruning"](gated, Batch(images, Y), adversary, coefficients)
    torch.manual_seed(5)
    drawn = gated.sampled(len(images))
    with gated.board.holding(drawn):
        clean = functional.cross_entropy(gated.model(images), Y)
    region = Region(images, THREAT)
    worst = worst_cross_entropy(network(gated, images, drawn), region, Y, 3, "ibp").loss.mean()
    torch.testing.assert_close(found.weights, 0.25 * clean + 0.75 * worst)
    assert found.gates is not None
    torch.testing.assert_close(found.gates, worst + 0.5 * clean + 4 * gated.kl() / 50)
    gradients = torch.autograd.grad(worst, gated.gate_parameters())
    assert any(bool(gradient.any()) for gradient in gradients)


def test_expected_gates_are_bounded_on_request(learned_chain: GatedModel, images: Tensor) -> None:
    gated = learned_chain.train()
    coefficients = Coefficients(certificate=Certificate(THREAT, "ibp", 0.5, on="expected"))
    state = torch.get_rng_state()
    found = OBJECTIVES["certified"](gated, Batch(images, Y), adversary, coefficients)
    assert torch.equal(torch.get_rng_state(), state)  # nothing was drawn
    region = Region(images, THREAT)
    worst = worst_cross_entropy(network(gated, images), region, Y, 3, "ibp").loss.mean()
    torch.testing.assert_close(found.parts["certified_loss"], worst.detach())


def test_without_a_certificate_there_is_nothing_to_train_on(odds: nn.Module, pixels: Batch) -> None:
    with pytest.raises(ValueError, match="no certificate is given"):
        OBJECTIVES["certified"](odds, pixels, adversary, Coefficients())

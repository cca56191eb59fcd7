import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import EOT, PGD, SPSA
from advprune.attacks.eot import _Average
from advprune.attacks.losses import margin
from advprune.threat import ThreatModel

THREAT = ThreatModel("linf", 0.1)
Y = torch.zeros(4, dtype=torch.int64)
X = torch.full((4, 1, 1, 2), 0.5)


class Flips(nn.Module):
    """Logits ±(0.08 - noise · (x0 - 0.5) - (x1 - 0.5)): one draw misleads about x0."""

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise = noise

    def forward(self, x: Tensor) -> Tensor:
        moved = x.flatten(1) - 0.5
        slope = self.noise * (2 * torch.randint(2, (len(x),)) - 1)
        score = 0.08 - slope * moved[:, 0] - moved[:, 1]
        return torch.stack([score, -score], dim=1)


def average(samples: int, noise: float) -> _Average:
    generator = torch.Generator().manual_seed(0)
    return _Average(
        Flips(noise), Y, False, margin, "float32",
        samples=samples, transform=None, generator=generator,
    )  # fmt: skip


def test_the_gradient_is_the_mean_over_draws() -> None:
    torch.manual_seed(0)
    gradient, losses, fooled = average(1000, 5.0).gradient(X)
    assert gradient[..., 0].abs().max() < 1.5  # one draw says ±10
    torch.testing.assert_close(gradient[..., 1], torch.full((4, 1, 1), 2.0))
    torch.testing.assert_close(losses, torch.full((4,), -0.16))
    assert not fooled.any()


def test_the_verdict_is_the_majoritys() -> None:
    torch.manual_seed(0)
    victim = average(501, 5.0)
    x = X.clone()
    x[:, 0, 0, 0] += 0.1  # half of the draws are now wrong by far
    x[2:, 0, 0, 1] += 0.6  # all are
    assert victim.fooled(x)[2:].all()
    assert victim.logits(x).shape == (4, 2)
    assert victim.forward_passes == 2 * 501 * 4


@pytest.mark.parametrize("attack", [PGD(THREAT, steps=20), SPSA(THREAT, steps=20, directions=4)])
def test_it_finds_what_is_wrong_in_most_draws(attack: PGD | SPSA) -> None:
    result = EOT(attack, samples=30).run(Flips(0.1), X, Y)
    assert result.fooled.all()
    assert (result.x_adv[..., 1] > 0.57).all()


def test_transforms_of_the_image_are_drawn_anew_and_followed_by_gradients() -> None:
    seen = []

    def mirror(x: Tensor, generator: torch.Generator) -> Tensor:
        seen.append(bool(torch.rand((), generator=generator) < 0.5))
        return x.flip(3) if seen[-1] else x

    model = Flips(0.0)
    plain = PGD(THREAT, steps=20)
    climb = PGD(THREAT, steps=20, stop_when_fooled=False)
    robust = EOT(climb, samples=16, transform=mirror)
    assert not model(plain(model, X, Y).flip(3)).argmax(1).all()
    assert model(robust(model, X, Y)).argmax(1).all()
    assert model(robust(model, X, Y).flip(3)).argmax(1).all()
    assert 0.2 < sum(seen) / len(seen) < 0.8


def test_passes_are_counted_over_all_draws() -> None:
    attack = PGD(THREAT, steps=3, stop_when_fooled=False, keep="last")
    result = EOT(attack, samples=5).run(Flips(0.1), X, Y)
    assert result.backward_passes == 3 * 5 * 4
    assert result.forward_passes == 3 * 5 * 4 + 4


def test_the_models_own_draws_are_seeded_and_the_global_state_is_put_back() -> None:
    attack = EOT(PGD(THREAT, steps=3), samples=2)
    before = torch.get_rng_state()
    first = attack(Flips(1.0), X, Y)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(attack(Flips(1.0), X, Y), first)


def test_the_budget_is_told_and_no_draws_are_refused() -> None:
    budget = EOT(PGD(THREAT, steps=3), samples=7).describe()
    assert (budget["name"], budget["samples"], budget["transform"]) == ("EOT", 7, None)
    assert isinstance(budget["attack"], dict)
    assert budget["attack"]["steps"] == 3
    with pytest.raises(ValueError, match="samples=0"):
        EOT(PGD(THREAT), samples=0)

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linprog  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional

from advprune.certificates import Verdict, check_complete
from advprune.threat import ThreatModel


def reseed(model: nn.Module, seed: int) -> None:
    """Draws other weights in place, so that the graph need not be exported again."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator))


class Tiny(nn.Module):
    """2 pixels - 3 - ReLU - 3 - ReLU - 3 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.f1, self.f2, self.f3 = nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.f3(self.f2(self.f1(x.flatten(1)).relu()).relu())
        return logits


class Pooled(nn.Module):
    """One channel of 1x2 pixels, 4 filters, max-pooling over pairs of them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, (1, 2)), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        pairs = self.conv(x).view(-1, 2, 2, 1)
        logits: Tensor = self.fc(functional.max_pool2d(pairs, (2, 1)).flatten(1))
        return logits


def smallest_margin(model: Tiny, x: Tensor, y: int, eps: float) -> float:
    """By a linear program for each of the 2^6 patterns of signs and each other class."""
    w1, b1, w2, b2, w3, b3 = (p.detach().double().numpy() for p in model.parameters())
    centre = x.flatten().double().numpy()
    box = np.stack([np.clip(centre - eps, 0, 1), np.clip(centre + eps, 0, 1)], axis=1)
    least = np.inf
    for signs in itertools.product((1, -1), repeat=6):
        s1, s2 = np.array(signs[:3]), np.array(signs[3:])
        a2, c2 = w2 @ np.diag(s1 > 0) @ w1, w2 @ ((s1 > 0) * b1) + b2
        limits = np.concatenate([-s1[:, None] * w1, -s2[:, None] * a2])
        heights = np.concatenate([s1 * b1, s2 * c2])
        for other in {0, 1, 2} - {y}:
            row = (w3[y] - w3[other]) * (s2 > 0)
            solved = linprog(row @ a2, A_ub=limits, b_ub=heights, bounds=box)
            if solved.status == 0:
                least = min(least, solved.fun + row @ c2 + b3[y] - b3[other])
    return least


def test_verdicts_are_those_of_trying_every_pattern_of_signs() -> None:
    model, branched, met = Tiny().eval(), 0, set()
    for seed, eps in itertools.product(range(6, 12), (0.3, 0.6)):
        reseed(model, seed)
        x = torch.rand(1, 1, 1, 2, generator=torch.Generator().manual_seed(seed + 100))
        y = model(x).argmax(1)
        found = check_complete(model, x, y, ThreatModel("linf", eps))
        truth = smallest_margin(model, x, int(y), eps)
        assert abs(truth) > 1e-6
        expected = Verdict.CERTIFIED if truth > 0 else Verdict.COUNTEREXAMPLE
        assert found.verdict == expected
        met.add(found.verdict)
        branched += found.verdict is Verdict.CERTIFIED and found.domains > 1
        if found.counterexample is not None:
            ThreatModel("linf", eps).audit(found.counterexample, x)
            assert int(model(found.counterexample).argmax(1)) != int(y)
    assert met == {Verdict.CERTIFIED, Verdict.COUNTEREXAMPLE}
    assert branched > 0  # linear bounds alone would not have done


def test_no_point_of_a_grid_contradicts_a_certificate_through_max_pooling() -> None:
    model, met = Pooled().eval(), set()
    for seed in range(10):
        reseed(model, seed)
        x = torch.rand(1, 1, 1, 2, generator=torch.Generator().manual_seed(seed))
        y, threat = model(x).argmax(1), ThreatModel("linf", 0.2)
        found = check_complete(model, x, y, threat)
        steps = torch.linspace(-0.2, 0.2, 201)
        grid = (x + torch.cartesian_prod(steps, steps).view(-1, 1, 1, 2)).clamp(0, 1)
        turned = bool((model(grid).argmax(1) != y).any())
        assert found.verdict == (Verdict.COUNTEREXAMPLE if turned else Verdict.CERTIFIED)
        met.add(found.verdict)
    assert len(met) == 2


def test_an_image_that_is_wrong_already_is_called_so() -> None:
    model = Tiny().eval()
    x = torch.full((1, 1, 1, 2), 0.5)
    wrong = (model(x).argmax(1) + 1) % 3
    assert check_complete(model, x, wrong, ThreatModel("linf", 0.1)).verdict is Verdict.WRONG


def test_it_gives_up_when_the_time_is_up() -> None:
    model, verdicts = Tiny().eval(), set()
    for seed in range(12):
        reseed(model, seed)
        x = torch.rand(1, 1, 1, 2, generator=torch.Generator().manual_seed(seed + 100))
        threat = ThreatModel("linf", 0.6)
        verdicts.add(check_complete(model, x, model(x).argmax(1), threat, seconds=1e-9).verdict)
    assert Verdict.UNDECIDED in verdicts


def test_other_norms_and_several_images_are_refused() -> None:
    x, y = torch.rand(2, 1, 1, 2), torch.tensor([0, 0])
    with pytest.raises(ValueError, match="knows linf only"):
        check_complete(Tiny(), x[:1], y[:1], ThreatModel("l2", 0.1))
    with pytest.raises(ValueError, match="one at a time"):
        check_complete(Tiny(), x, y, ThreatModel("linf", 0.1))

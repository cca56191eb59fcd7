"""Two fixed networks for digits, trained for seconds on slightly noisy images.

Attacks at l∞ 0.1 or l2 0.5 break about half of the images, so that two attacks of unequal strength
leave unequal numbers.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from advprune.threat import ThreatModel

PREFIX = "small:"
STEPS, BATCH = 150, 128
NOISE = ThreatModel("linf", 0.02)


def plain() -> nn.Module:
    """Two dense layers."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))


def batch_norm() -> nn.Module:
    """A convolution with batch norm, pooling and a dense layer."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(54, 10),
    )  # fmt: skip


NETS: dict[str, Callable[[], nn.Module]] = {"plain": plain, "batch-norm": batch_norm}


def small_net(name: str, x: Tensor, y: Tensor) -> nn.Module:
    """The network of that name, trained on noisy images, always with the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = NETS[name]()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        rows = torch.randint(len(x), (BATCH,), generator=generator)
        noisy = NOISE.random_start(x[rows], generator)
        optimiser.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(model(noisy), y[rows]))
        optimiser.step()
    return model

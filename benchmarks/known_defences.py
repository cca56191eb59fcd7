"""Defences of others, built and trained in small form on the digits, for other benchmarks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.attacks import PGD, Attack, identity
from advprune.attacks.bpda import StandIn
from advprune.defences import (
    ActivationPruning,
    BitDepth,
    DeepMask,
    LogitNoise,
    Median,
    NonLocalMeans,
    PixelCNN,
    PixelDefend,
    ResizeAndPad,
    SpectralFeatures,
    Synthesis,
    Temperature,
    Thermometer,
    soft_cross_entropy,
    squeezed_cross_entropy,
    steady_units,
)
from advprune.models.gaussian import DrawnModel, GaussianModel
from advprune.objectives import OBJECTIVES, Batch, Coefficients
from advprune.threat import ThreatModel

EPOCHS, AT_ONCE, RATE = 12, 64, 2e-3
TEMPERATURE = 50.0
LEVELS = 17
"""Of a digit's pixels: 0 to 16."""

NEIGHBOURS = 2.1
"""L2 distance that joins images; just above the least that leaves the training images' graph whole,
2.007."""

Step = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""(model, images, targets) → the mean loss, 0-dim."""


@dataclass(frozen=True)
class Trained:
    """A defended network and what an attacker who knows it does.

    Attributes:
        model: The network.
        stand_ins: For `backward_as`.
        random: Whether it draws.
    """

    model: nn.Module
    stand_ins: Mapping[str, StandIn] = field(default_factory=dict)
    random: bool = False


def network(
    front: nn.Module | None = None,
    channels: int = 1,
    side: int = 8,
    inside: Callable[[], nn.Module] = nn.Identity,
    end: nn.Module | None = None,
) -> nn.Sequential:
    """A layer, two convolutions and two dense layers, a layer; another after each ReLU."""
    return nn.Sequential(
        front or nn.Identity(),
        nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), inside(),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), inside(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * (side // 2) ** 2, 64), nn.ReLU(), inside(),
        nn.Linear(64, 10), *([end] if end else []),
    )  # fmt: skip


def cross_entropy(model: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    """Of classes or probabilities."""
    if targets.dim() == 1:
        return functional.cross_entropy(model(x), targets)
    return soft_cross_entropy(model(x), targets).mean()


def train(
    model: nn.Module,
    x: Tensor,
    targets: Tensor,
    seed: int,
    step: Step = cross_entropy,
    epochs: int | None = None,
) -> nn.Module:
    """Adam on a loss."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    for _ in range(epochs or EPOCHS):
        for part in torch.split(torch.randperm(len(x), generator=generator), AT_ONCE):
            model.train()
            loss = step(model, x[part], targets[part])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return model.eval()


def attacked(objective: str, attack: Attack, coefficients: Coefficients, seed: int) -> Step:
    """A step of one of advprune's objectives, against an attack on the network as it is."""
    generator = torch.Generator().manual_seed(seed)

    def step(model: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
        def adversary(x: Tensor, y: Tensor, /, away_from: object = None) -> Tensor:
            del away_from
            return attack(model, x, y, generator=generator)

        batch = Batch(x, targets)
        return OBJECTIVES[objective](model, batch, adversary, coefficients).weights

    return step


def distilled(x: Tensor, y: Tensor, seed: int) -> Trained:
    """A student of a teacher's soft labels, both at the temperature, without it in the end."""
    teacher = nn.Sequential(network(), Temperature(TEMPERATURE))
    train(teacher, x, y, seed)
    with torch.no_grad():
        soft = teacher(x).softmax(1)
    student = nn.Sequential(network(), Temperature(TEMPERATURE))
    return Trained(train(student, x, soft, seed)[0])  # type: ignore[index]


def masked(x: Tensor, y: Tensor, seed: int, threat: ThreatModel) -> Trained:
    """The plain network without the tenth of its last features that PGD moves most."""
    model = train(network(), x, y, seed)
    assert isinstance(model, nn.Sequential)
    features = model[:-1]
    with torch.no_grad():
        moved = features(PGD(threat, steps=10)(model, x, y))
        mask = steady_units(features(x), moved, 0.1)
    return Trained(nn.Sequential(features, DeepMask(mask), model[-1]))


def squeezed(front: nn.Module, x: Tensor, y: Tensor, seed: int) -> Trained:
    """A network trained plainly, with a squeezer put before it afterwards."""
    stand_ins = {} if isinstance(front, Median | NonLocalMeans) else {"0": identity}
    return Trained(nn.Sequential(front, train(network(), x, y, seed)), stand_ins)


def density(x: Tensor, seed: int) -> PixelCNN:
    """A PixelCNN of the images."""
    torch.manual_seed(seed)
    model = PixelCNN(LEVELS, width=8)

    def bits(model: nn.Module, x: Tensor, _targets: Tensor) -> Tensor:
        assert isinstance(model, PixelCNN)
        return model.surprise(x).mean()

    train(model, x, torch.zeros(len(x)), seed, bits, epochs=2 * EPOCHS)
    return model


def quiet(x: Tensor, y: Tensor, seed: int) -> Trained:
    """A network trained with squeezed logits, on images with Gaussian noise."""
    generator = torch.Generator().manual_seed(seed)

    def step(model: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
        noisy = x + 0.3 * torch.randn(x.shape, generator=generator)
        return squeezed_cross_entropy(model(noisy), targets, 0.5).mean()

    return Trained(train(network(), x, y, seed, step))


def synthesis(x: Tensor, y: Tensor, seed: int) -> Trained:
    """A variational auto-encoder for each class, each step on as many images of every class."""
    torch.manual_seed(seed)
    model, generator = Synthesis(x[0].numel()), torch.Generator().manual_seed(seed)
    classes = [x[y == label].flatten(1) for label in range(10)]

    def step(model: nn.Module, _x: Tensor, _targets: Tensor) -> Tensor:
        assert isinstance(model, Synthesis)
        drawn = [torch.randint(len(own), (AT_ONCE,), generator=generator) for own in classes]
        images = torch.stack([own[rows] for own, rows in zip(classes, drawn, strict=True)])
        return -model.evidence(images, generator).mean()

    return Trained(train(model, x, y, seed, step, epochs=4 * EPOCHS))


def spectral(x: Tensor, y: Tensor, seed: int) -> Trained:
    """Two dense layers on spectral features of the training images."""
    features = SpectralFeatures(x, NEIGHBOURS, count=20)
    head = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 10))
    train(head, features.features, y, seed, epochs=2 * EPOCHS)
    return Trained(nn.Sequential(features, head), {"0": features.soft})


def bayesian(x: Tensor, y: Tensor, seed: int, threat: ThreatModel) -> Trained:
    """Adv-BNN, drawing its weights in every pass."""
    model = GaussianModel(network())
    coefficients = Coefficients(beta=0.01, examples=len(x))
    train(model, x, y, seed, attacked("adv_bnn", PGD(threat, steps=5), coefficients, seed))
    return Trained(DrawnModel(model), random=True)


def encoded(x: Tensor, y: Tensor, seed: int) -> Trained:
    """A network on thermometer codes."""
    code = Thermometer(16)
    return Trained(train(network(code, 16), x, y, seed), {"0": code.ramp})


def against(objective: str, x: Tensor, y: Tensor, seed: int, threat: ThreatModel) -> Trained:
    """A network trained by one of advprune's objectives against PGD-5."""
    coefficients = Coefficients(consistency_weight=0.5)
    step = attacked(objective, PGD(threat, steps=5), coefficients, seed)
    return Trained(train(network(), x, y, seed, step))


def plainly(model: nn.Module, x: Tensor, y: Tensor, seed: int) -> Trained:
    """A random network trained plainly."""
    return Trained(train(model, x, y, seed), random=True)


ROWS: dict[str, Callable[[Tensor, Tensor, int, ThreatModel], Trained]] = {
    "undefended": lambda x, y, seed, _: Trained(train(network(), x, y, seed)),
    "PGD-5 training": partial(against, "madry"),
    "bit depth 1": lambda x, y, seed, _: squeezed(BitDepth(1), x, y, seed),
    "bit depth 2": lambda x, y, seed, _: squeezed(BitDepth(2), x, y, seed),
    "median 2x2": lambda x, y, seed, _: squeezed(Median(2), x, y, seed),
    "non-local means": lambda x, y, seed, _: squeezed(NonLocalMeans(), x, y, seed),
    "thermometer 16": lambda x, y, seed, _: encoded(x, y, seed),
    "resize and pad": lambda x, y, seed, _: plainly(network(ResizeAndPad(10), side=10), x, y, seed),
    "activation pruning": lambda x, y, seed, _: plainly(
        network(inside=ActivationPruning), x, y, seed
    ),
    f"distillation T={TEMPERATURE:g}": lambda x, y, seed, _: distilled(x, y, seed),
    "DeepMask 10 %": masked,
    "PixelDefend": lambda x, y, seed, threat: squeezed(
        PixelDefend(density(x, seed), LEVELS, 2 * threat.eps), x, y, seed
    ),
    "logit squeezing": lambda x, y, seed, _: quiet(x, y, seed),
    "logit noise": lambda x, y, seed, _: plainly(network(end=LogitNoise(3.0)), x, y, seed),
    "logit pairing": partial(against, "logit_pairing"),
    "analysis by synthesis": lambda x, y, seed, _: synthesis(x, y, seed),
    "spectral features": lambda x, y, seed, _: spectral(x, y, seed),
    "Adv-BNN": bayesian,
}
"""Name → how it is built from training images, their classes, a seed and the threat."""


def build(name: str, x: Tensor, y: Tensor, seed: int, threat: ThreatModel) -> Trained:
    """Train a row of the table."""
    torch.manual_seed(seed)
    return ROWS[name](x, y, seed, threat)

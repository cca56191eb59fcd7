"""What averaging over a network's random gates or weights is worth, against their expected values.

Accuracy, likelihood, calibration and the telling of foreign images, before and after attacks.
"""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.attacks import EOT, PGD, Attack
from advprune.choices import check_count
from advprune.data import Data
from advprune.defences.detection import roc_area
from advprune.evaluation.ledger import Ledger
from advprune.evaluation.sample import Sample, gather, model_hash
from advprune.gates import GatedModel
from advprune.models import evaluating
from advprune.models.gaussian import GaussianModel
from advprune.threat import ThreatModel

BINS = 15
"""Of confidence, in the calibration error (Guo et al. 2017)."""

Beliefs = dict[str, dict[str, "Belief"]]
"""By predictor, `"expected"` or `"posterior"`, and by images: see `bayesian`."""


class PosteriorMean(nn.Module):
    """The mean over draws of a random network's class probabilities, as logits.

    `log 1/S Σ softmax f(x; mₛ)`, with mₛ drawn from torch's global random state anew in each pass;
    all layers stay in evaluation mode.

    Args:
        random: a network with gates or with Gaussian weights.
        samples: S.

    Raises:
        ValueError: `samples` is no whole number from 1.
    """

    def __init__(self, random: GatedModel | GaussianModel, samples: int) -> None:
        super().__init__()
        check_count("samples", samples)
        self.random = random
        self.samples = samples

    def forward(self, x: Tensor) -> Tensor:
        """Returns log probabilities, (batch, classes)."""
        drawn = torch.stack([self._one(x).log_softmax(-1) for _ in range(self.samples)])
        return torch.logsumexp(drawn, 0) - math.log(self.samples)

    def _one(self, x: Tensor) -> Tensor:
        mode = self.random.training
        self.random.training = True  # of the draws alone
        try:
            logits: Tensor = self.random(x)
        finally:
            self.random.training = mode
        return logits


@dataclass(frozen=True)
class Belief:
    """What class probabilities are worth.

    Attributes:
        accuracy: share of the images whose likeliest class is the true one.
        nll: mean negative log probability of the true class, in nats.
        calibration_error: expected calibration error, see `calibration_error`.
        foreign_auroc: chance that a foreign image is met with less confidence than one of these,
            ties counting half: 1 tells all apart, 0.5 none.
    """

    accuracy: float
    nll: float
    calibration_error: float
    foreign_auroc: float


def belief(log_probabilities: Tensor, y: Tensor, foreign: Tensor) -> Belief:
    """Judges probabilities of images of known classes, and of foreign images, of none of these.

    Args:
        log_probabilities: (images, classes).
        y: true classes, (images,).
        foreign: log probabilities of foreign images, (others, classes).
    """
    confidence, answers = log_probabilities.exp().max(1)
    return Belief(
        accuracy=(answers == y).double().mean().item(),
        nll=functional.nll_loss(log_probabilities, y).item(),
        calibration_error=calibration_error(confidence, answers == y),
        foreign_auroc=roc_area(-confidence, -foreign.exp().amax(1)),
    )


def calibration_error(confidence: Tensor, right: Tensor, bins: int = BINS) -> float:
    """Returns `Σ_b n_b/n |accuracy_b - confidence_b|` over bins of confidence of equal width.

    Source: Guo et al. 2017, "On calibration of modern neural networks" (arXiv 1706.04599),
    equation 3.

    Args:
        confidence: probability of the answered class, (images,).
        right: whether it is the true one, (images,) bool.
        bins: how many; each holds its upper border.
    """
    number = (confidence.double() * bins).ceil().long().clamp(1, bins) - 1
    gaps = right.double() - confidence.double()
    sums = torch.zeros(bins, dtype=torch.float64).index_add(0, number.cpu(), gaps.cpu())
    return (sums.abs().sum() / len(confidence)).item()


def bayesian(
    random: GatedModel | GaussianModel,
    data: Data,
    threat: ThreatModel,
    foreign: Tensor,
    *,
    samples: int = 16,
    attack_samples: int = 8,
    steps: int = 40,
    seed: int = 0,
    batch_size: int = 100,
    subset: int | None = None,
    folder: str | Path | None = None,
) -> Beliefs:
    """Compares the expected network with the posterior mean, clean and attacked.

    Each is attacked by PGD from a random start: the expected network as it is, the posterior mean
    in expectation over its draws (EOT). The figures under `"attacked"` are of a predictor's own
    attack, those under `"transferred"` of the other's: where these are lower, the own attack was
    too weak. Foreign images are not attacked. Confidence is the largest probability (Hendrycks &
    Gimpel 2017, arXiv 1610.02136).

    Args:
        random: the network, whose posterior may be in its gates or weights.
        data: images and classes; see `evaluate`.
        threat: what attacks may do.
        foreign: images of none of the classes, shaped alike.
        samples: S, draws of an answer of the posterior mean.
        attack_samples: draws of a step of its attack.
        steps: of either attack.
        seed: of the subset, the attacks and the draws.
        batch_size: images at a time.
        subset: number of images to draw; None takes all.
        folder: where finished batches of attacks are kept and, in a second call, taken from.

    Returns:
        By predictor and by images (`"clean"`, `"attacked"`, `"transferred"`), what it is worth.

    Raises:
        ValueError: foreign images of another shape, an impossible setting, or a folder that
            belongs to another evaluation.
    """
    sample = gather(data, batch_size, subset=subset, seed=seed)
    if foreign.shape[1:] != sample.x.shape[1:] or not len(foreign):
        raise ValueError(
            f"foreign images have shape {tuple(foreign.shape)}; allowed are some of"
            f" (any, {', '.join(map(str, sample.x.shape[1:]))})"
        )
    predictors = {"expected": random, "posterior": PosteriorMean(random, samples)}
    victims = {"expected": random, "posterior": PosteriorMean(random, 1)}
    attacks = own_attacks(threat, steps, attack_samples)
    moved = {
        name: _attacked(attack, victims[name], sample, seed, batch_size, folder)
        for name, attack in attacks.items()
    }
    others = {"expected": moved["posterior"], "posterior": moved["expected"]}
    found: Beliefs = {}
    for name, predictor in predictors.items():
        seen = {"clean": sample.x, "attacked": moved[name], "transferred": others[name]}
        strange = _predicted(predictor, foreign, batch_size, seed)
        found[name] = {
            kind: belief(_predicted(predictor, x, batch_size, seed), sample.y, strange)
            for kind, x in seen.items()
        }
    return found


def own_attacks(threat: ThreatModel, steps: int, samples: int) -> dict[str, Attack]:
    """Returns the attack on each predictor: PGD, and PGD in expectation over draws."""
    pgd = PGD(threat, steps=steps)
    return {"expected": pgd, "posterior": EOT(pgd, samples=samples)}


def _attacked(
    attack: Attack,
    victim: nn.Module,
    sample: Sample,
    seed: int,
    batch_size: int,
    folder: str | Path | None,
) -> Tensor:
    """Attacks all images, in batches that a folder keeps."""
    generator = torch.Generator().manual_seed(seed)
    task = {"model": model_hash(victim), "data": sample.hash, "seed": seed}
    task |= {"batch_size": batch_size, "attack": attack.describe()}
    ledger = None if folder is None else Ledger(Path(folder) / type(attack).__name__.lower(), task)
    moved = []
    for number, rows in enumerate(torch.split(torch.arange(len(sample)), batch_size)):
        run = partial(attack.run, victim, sample.x[rows], sample.y[rows], generator=generator)
        found = run() if ledger is None else ledger.run("attack", number, rows, generator, run)
        moved.append(found.x_adv)
    return torch.cat(moved)


@torch.no_grad()
def _predicted(predictor: nn.Module, x: Tensor, batch_size: int, seed: int) -> Tensor:
    """Returns log probabilities, (images, classes), with draws from a seed of their own."""
    with evaluating(predictor), torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.cat([predictor(part).log_softmax(-1) for part in torch.split(x, batch_size)])

"""Randomised smoothing (Cohen, Rosenfeld & Kolter 2019, arXiv 1902.02918).

The smoothed classifier answers the class that the network gives most often to x + N(0, σ²). Within
σ Φ⁻¹(p) in L2 of x, where p > 1/2 is that class's probability, it answers the same.
"""

from typing import NamedTuple

import torch
from scipy import stats  # type: ignore[import-untyped]
from torch import Tensor, nn

from advprune.choices import check_count
from advprune.models import evaluating
from advprune.models.logits import logits_of

ABSTAINED = -1
"""Stands for the class where the samples do not tell."""


class Smoothed(NamedTuple):
    """What the smoothed classifier answers.

    Attributes:
        answers: (batch,) int64, `ABSTAINED` where it does not answer.
        radii: (batch,) certified radius in L2, in units of pixels; 0 where it does not answer.
    """

    answers: Tensor
    radii: Tensor


def certify_smoothed(
    model: nn.Module,
    x: Tensor,
    sigma: float,
    *,
    guesses: int = 100,
    samples: int = 10_000,
    alpha: float = 0.001,
    batch_size: int = 1000,
    generator: torch.Generator | None = None,
) -> Smoothed:
    """Returns answers with radii within which they hold, each with probability 1 - alpha (CERTIFY).

    The class is guessed from its own samples; the others give the exact lower end (Clopper and
    Pearson) of its probability. The network is evaluated on noisy images, outside the pixels' range
    too: train it on such.

    Args:
        model: the base classifier.
        x: images, (batch, channels, height, width).
        sigma: standard deviation of the noise, in units of pixels.
        guesses: samples that choose the class.
        samples: samples that bound its probability; the largest radius is
            `sigma * Φ⁻¹(alpha ** (1 / samples))`.
        alpha: probability that an answer's radius does not hold.
        batch_size: noisy images a pass.
        generator: source of the noise, on the CPU; None is a fresh one with seed 0.

    Raises:
        ValueError: when a setting is impossible, or the network does not answer with logits.
    """
    _check(sigma, alpha)
    check_count("guesses", guesses)
    check_count("samples", samples)
    generator = generator or torch.Generator().manual_seed(0)
    answers, radii = [], []
    for image in x:
        guess = int(_counts(model, image, sigma, guesses, batch_size, generator).argmax())
        hits = int(_counts(model, image, sigma, samples, batch_size, generator)[guess])
        least = lower_probability(hits, samples, alpha)
        holds = least > 0.5
        answers.append(guess if holds else ABSTAINED)
        radii.append(sigma * float(stats.norm.ppf(least)) if holds else 0.0)
    return Smoothed(torch.tensor(answers, dtype=torch.int64), torch.tensor(radii))


def predict_smoothed(
    model: nn.Module,
    x: Tensor,
    sigma: float,
    *,
    samples: int = 1000,
    alpha: float = 0.001,
    batch_size: int = 1000,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Returns the smoothed classifier's answers, wrong with probability alpha at most (PREDICT).

    It abstains where a two-sided binomial test does not tell the first class from the second.

    Args:
        model: the base classifier.
        x: images, (batch, channels, height, width).
        sigma: standard deviation of the noise.
        samples: noisy images for each image.
        alpha: level of the test.
        batch_size: noisy images a pass.
        generator: source of the noise, on the CPU; None is a fresh one with seed 0.

    Raises:
        ValueError: when a setting is impossible, or the network does not answer with logits.
    """
    _check(sigma, alpha)
    check_count("samples", samples)
    generator = generator or torch.Generator().manual_seed(0)
    answers = []
    for image in x:
        counts = _counts(model, image, sigma, samples, batch_size, generator)
        (first, second), (answer, _) = counts.topk(2)
        test = stats.binomtest(int(first), int(first + second), 0.5)
        answers.append(int(answer) if test.pvalue <= alpha else ABSTAINED)
    return torch.tensor(answers, dtype=torch.int64)


def lower_probability(hits: int, samples: int, alpha: float) -> float:
    """Lower end of the one-sided exact interval of a probability (Clopper and Pearson, 1934)."""
    return float(stats.beta.ppf(alpha, hits, samples - hits + 1)) if hits else 0.0


def _counts(
    model: nn.Module,
    image: Tensor,
    sigma: float,
    samples: int,
    batch_size: int,
    generator: torch.Generator,
) -> Tensor:
    """How often each class is answered, (classes,)."""
    counts = torch.zeros(0, dtype=torch.int64)
    with evaluating(model), torch.no_grad():
        for start in range(0, samples, batch_size):
            number = min(batch_size, samples - start)
            noise = torch.randn(number, *image.shape, generator=generator).to(image)
            logits = logits_of(model, image + sigma * noise)
            found = torch.bincount(logits.argmax(1).cpu(), minlength=logits.shape[1])
            counts = found if not len(counts) else counts + found
    return counts


def _check(sigma: float, alpha: float) -> None:
    if not sigma > 0:
        raise ValueError(f"sigma={sigma!r}; allowed are numbers above 0, in units of pixels")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha={alpha!r}; allowed are probabilities between 0 and 1")

"""Adversarial distillation: a robust teacher's answer to the clean image is the target.

ARD: Goldblum et al. 2020, "Adversarially robust distillation" (arXiv 1905.09747), equation 3.
RSLAD: Zi et al. 2021, "Revisiting adversarial robustness distillation under the lens of robust soft
labels" (arXiv 2108.07969), equation 6. Divergences are means over examples of sums over classes;
either paper's code divides by the number of classes as well.
"""

from torch import Tensor

from advprune.objectives.losses import Adversary, Batch, Coefficients, kl, measured, weighted
from advprune.objectives.robust import Answers, Defence, Robust, by_label


def _taught(batch: Batch) -> Tensor:
    if batch.taught is None:
        raise ValueError("this objective distils a teacher, but none was given")
    return batch.taught


def _away_from_teacher(batch: Batch, adversary: Adversary) -> Tensor:
    """Maximises the divergence from the teacher's answer to the clean image."""
    return adversary(batch.x, batch.y, away_from=_taught(batch))


def _divergence(answers: Answers, student: Tensor, coefficients: Coefficients) -> Tensor:
    """`T² KL(teacher(x) ‖ student)` at temperature T, 0-dim: T² keeps the gradient's size."""
    softened = kl(_taught(answers.batch), student, coefficients.temperature).mean()
    return coefficients.temperature**2 * softened


def _ard(answers: Answers, coefficients: Coefficients) -> Robust:
    """`α T² KL(teacher(x) ‖ student(x')) + (1 - α) CE_clean`, α = w / (c + w)."""
    clean, _ = measured("clean", answers.clean, answers.batch.y)
    attacked = _divergence(answers, answers.attacked, coefficients)
    return Robust(weighted(clean, attacked, coefficients), attacked)


def _rslad(answers: Answers, coefficients: Coefficients) -> Robust:
    """`(c KL(teacher(x) ‖ student(x)) + w KL(teacher(x) ‖ student(x'))) / (c + w)`.

    The paper has 1/6 and 5/6, that is c = 1 and w = 5, at temperature 1.
    """
    clean = _divergence(answers, answers.clean, coefficients)
    attacked = _divergence(answers, answers.attacked, coefficients)
    return Robust(weighted(clean, attacked, coefficients), attacked)


ARD = Defence(by_label, _ard)
RSLAD = Defence(_away_from_teacher, _rslad)

"""Adversarial logit pairing: the logits of an image and of its counterpart are drawn together.

`(c CE_clean + w CE_adv) / (c + w) + λ mean (z(x) - z(x'))²`, the mean over examples and classes.

Source: Kannan, Kurakin & Goodfellow 2018, "Adversarial logit pairing" (arXiv 1803.06373), section
3.3, where clean and adversarial images count alike. Engstrom et al. 2018 (arXiv 1807.10272) broke
its ImageNet results by attacks of more steps: judge it by long ones.
"""

from torch.nn import functional

from advprune.objectives.losses import Coefficients, measured, weighted
from advprune.objectives.robust import Answers, Defence, Robust, by_label


def _loss(answers: Answers, coefficients: Coefficients) -> Robust:
    clean, _ = measured("clean", answers.clean, answers.batch.y)
    attacked, _ = measured("adversarial", answers.attacked, answers.batch.y)
    tie = coefficients.consistency_weight * functional.mse_loss(answers.clean, answers.attacked)
    return Robust(weighted(clean, attacked, coefficients) + tie, attacked + tie)


LOGIT_PAIRING = Defence(by_label, _loss)

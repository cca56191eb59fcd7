"""TRADES.

`min CE(f(x), y) + β max KL(f(x) ‖ f(x'))` with β = 1/λ. In the paper's code the attack starts
0.001 · N(0, 1) away from the image; here, anywhere in the ball.

Source: Zhang et al. 2019, "Theoretically principled trade-off between robustness and accuracy"
(arXiv 1901.08573), equation 5.
"""

from torch import Tensor

from advprune.objectives.losses import Adversary, Batch, Coefficients, kl, measured
from advprune.objectives.robust import Answers, Defence, Robust


def _away_from_itself(batch: Batch, adversary: Adversary) -> Tensor:
    """Maximises the divergence from the attacked network's own answer to the clean image."""
    return adversary(batch.x, batch.y, away_from="itself")


def _loss(answers: Answers, coefficients: Coefficients) -> Robust:
    """`CE_clean + β KL(clean ‖ adversarial)`, for gates too: alone, the KL asks for no answer."""
    clean, _ = measured("clean", answers.clean, answers.batch.y)
    tie = kl(answers.clean, answers.attacked).mean()
    loss = clean + coefficients.consistency_weight * tie
    return Robust(loss, loss)


TRADES = Defence(_away_from_itself, _loss)

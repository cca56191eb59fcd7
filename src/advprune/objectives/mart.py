"""MART: misclassified examples are tied more strongly.

`min BCE(f(x'), y) + λ KL(f(x) ‖ f(x')) (1 - p_y(x))`, where
`BCE = -log p_y(x') - log(1 - max_{k≠y} p_k(x'))` and x' maximises the cross-entropy.

Source: Wang et al. 2020, "Improving adversarial robustness requires revisiting misclassified
examples", equations 9 to 11; λ is 5 there.
"""

import torch
from torch import Tensor

from advprune.objectives.losses import Coefficients, kl
from advprune.objectives.robust import Answers, Defence, Robust, by_label


def boosted_cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Returns each example's `-log p_y - log(1 - max_{k≠y} p_k)`, (batch,).

    Args:
        logits: (batch, classes).
        y: (batch,) int64 classes.
    """
    log_p = logits.log_softmax(dim=1)
    own = log_p.gather(1, y[:, None]).squeeze(1)
    rival = log_p.scatter(1, y[:, None], -torch.inf).argmax(dim=1, keepdim=True)
    without = log_p.scatter(1, rival, -torch.inf).logsumexp(dim=1)  # log(1 - p of the rival)
    return -own - without


def _loss(answers: Answers, coefficients: Coefficients) -> Robust:
    y = answers.batch.y
    doubt = 1 - answers.clean.softmax(dim=1).gather(1, y[:, None]).squeeze(1)
    tie = (kl(answers.clean, answers.attacked) * doubt).mean()
    boosted = boosted_cross_entropy(answers.attacked, y).mean()
    loss = boosted + coefficients.consistency_weight * tie
    return Robust(loss, loss)


MART = Defence(by_label, _loss)

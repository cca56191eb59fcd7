"""Objectives on clean and adversarial images, with or without vulnerability suppression and gates.

Sources: Madry et al. 2018 (arXiv 1706.06083) for adversarial training, Madaan, Shin & Hwang 2020
(arXiv 1908.04355) for ANP and vulnerability suppression; weights as in the latter's code.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from advprune.gates import paired
from advprune.latent import Features, record
from advprune.objectives.losses import (
    Adversary,
    Batch,
    Coefficients,
    Losses,
    divergence,
    measured,
    weighted,
)
from advprune.vulnerability import mean_distortion


class Answers(NamedTuple):
    """What one pass says about clean images and their adversarial counterparts.

    Attributes:
        clean: logits (batch, classes) of the clean images, with gradient.
        attacked: the same of the adversarial ones.
        batch: the clean images, their classes and what a teacher says about them.
    """

    clean: Tensor
    attacked: Tensor
    batch: Batch


class Robust(NamedTuple):
    """A robust loss, 0-dim each.

    Attributes:
        weights: minimised by the weights.
        gates: minimised by gates: what of it speaks for robustness.
    """

    weights: Tensor
    gates: Tensor


@dataclass(frozen=True)
class Defence:
    """A min-max problem: how images are attacked and what is minimised on them.

    Attributes:
        attack: the inner maximisation.
        loss: the outer minimisation.
    """

    attack: Callable[[Batch, Adversary], Tensor]
    loss: Callable[[Answers, Coefficients], Robust]

    def train(
        self, model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients
    ) -> Losses:
        """Returns `robust + λ V` for the weights; gates are not trained.

        Args:
            model: gated or plain.
            batch: clean images.
            adversary: makes their adversarial counterparts.
            coefficients: λ and those of the robust loss are used.
        """
        answers, suppression, parts = self._pass(model, batch, adversary, coefficients)
        return Losses(self.loss(answers, coefficients).weights + suppression, None, parts)

    def prune(
        self, model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients
    ) -> Losses:
        """Returns the two losses of ANP, with λ > 0 of ANP-VS.

        Weights: `robust + λ V`; gates: `robust + c CE_clean + β KL / N`, and `+ λ V` on request.
        The KL has no gradient in the weights.

        Args:
            model: a gated model.
            batch: clean images.
            adversary: makes their adversarial counterparts.
            coefficients: all are used; c is `gate_clean_weight`.

        Raises:
            ValueError: the model has no gates.
        """
        kl = divergence(model, coefficients)
        answers, suppression, parts = self._pass(model, batch, adversary, coefficients)
        robust = self.loss(answers, coefficients)
        gates = robust.gates + kl
        if coefficients.gate_clean_weight:
            clean, _ = measured("clean", answers.clean, batch.y)
            gates = gates + coefficients.gate_clean_weight * clean
        if coefficients.vulnerability_trains_gates:
            gates = gates + suppression
        return Losses(robust.weights + suppression, gates, {**parts, "kl": kl.detach()})

    def _pass(
        self, model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients
    ) -> tuple[Answers, Tensor, dict[str, Tensor]]:
        """Returns the answers of one paired pass, λ V (0 without λ) and the log's terms."""
        x_adv = self.attack(batch, adversary)
        wanted = coefficients.vulnerability_weight > 0
        recording: AbstractContextManager[Features] = (
            record(model, batch.x) if wanted else nullcontext({})
        )
        with recording as features:
            answers = Answers(*paired(model, batch.x, x_adv), batch)
        with torch.no_grad():
            parts = measured("clean", answers.clean, batch.y)[1]
            parts |= measured("adversarial", answers.attacked, batch.y)[1]
        if not wanted:
            return answers, answers.clean.new_zeros(()), parts
        vulnerability = mean_distortion(model, features)
        parts["vulnerability"] = vulnerability.detach()
        return answers, coefficients.vulnerability_weight * vulnerability, parts


def by_label(batch: Batch, adversary: Adversary) -> Tensor:
    """Attacks with the attack's own loss at the true classes."""
    return adversary(batch.x, batch.y)


def _cross_entropies(answers: Answers, coefficients: Coefficients) -> Robust:
    """`(c CE_clean + w CE_adv) / (c + w)` for the weights, `CE_adv` for gates."""
    clean, _ = measured("clean", answers.clean, answers.batch.y)
    attacked, _ = measured("adversarial", answers.attacked, answers.batch.y)
    return Robust(weighted(clean, attacked, coefficients), attacked)


ADVERSARIAL = Defence(by_label, _cross_entropies)
"""Adversarial training (AT; Madry et al. 2018): `(c CE_clean + w CE_adv) / (c + w)`."""


def madry(
    model: nn.Module, batch: Batch, adversary: Adversary, coefficients: Coefficients
) -> Losses:
    """Returns `CE_adv` alone, from one pass over the adversarial images alone.

    Madry et al. 2018, equation 2.1; also that of Fast AT (Wong, Rice & Kolter 2020, arXiv
    2001.03994) and of Free AT (Shafahi et al. 2019, arXiv 1904.12843), by their attacks.

    Args:
        model: gated or plain; gates are not trained.
        batch: clean images.
        adversary: makes their adversarial counterparts.
        coefficients: not used.
    """
    del coefficients
    loss, parts = measured("adversarial", model(adversary(batch.x, batch.y)), batch.y)
    return Losses(loss, None, parts)

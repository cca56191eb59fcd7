"""What every objective gets and gives back, and the terms that objectives share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor, nn
from torch.nn import functional

from advprune.gates import GatedModel
from advprune.threat import ThreatModel


class Adversary(Protocol):
    """The attack inside training, on the network as it would ship now."""

    def __call__(
        self, x: Tensor, y: Tensor, /, away_from: Tensor | Literal["itself"] | None = None
    ) -> Tensor:
        """Returns adversarial images, like `x`.

        Args:
            x: clean images (batch, channels, height, width).
            y: (batch,) int64 classes.
            away_from: a teacher's logits (batch, classes), or "itself" for the attacked network's
                own on the clean images: the KL divergence of the network's answer from theirs is
                maximised. None maximises the attack's own loss at the classes.
        """


@dataclass(frozen=True)
class Batch:
    """Training examples of one step.

    Attributes:
        x: (batch, channels, height, width) in [0, 1].
        y: (batch,) int64 classes.
        taught: (batch, classes), a teacher's logits on `x`; None where nobody teaches.
    """

    x: Tensor
    y: Tensor
    taught: Tensor | None = None


@dataclass(frozen=True)
class Certificate:
    """How an objective on bounds takes them, as it is in this step.

    Attributes:
        threat: what is bounded, with the present radius.
        bound: name in `advprune.bounds.BOUNDS`.
        clean_weight: κ in `κ CE(z) + (1 - κ) CE(z_worst)`.
        linear_share: what linear bounds count of CE(z_worst), interval bounds being the rest.
        on: `"sampled"` or `"expected"` gates of a gated model.
    """

    threat: ThreatModel
    bound: str = "crown_ibp"
    clean_weight: float = 0.5
    linear_share: float = 1.0
    on: str = "sampled"


@dataclass(frozen=True)
class Coefficients:
    """How an objective weighs its terms; notation of `adversarial_weight` is w, of `beta` β.

    Attributes:
        clean_weight: c in `(c clean + w adversarial) / (c + w)`.
        adversarial_weight: w in the same.
        consistency_weight: of the tie between clean and adversarial answers: 1/λ of TRADES, λ of
            MART and of logit pairing.
        temperature: T that softens the teacher's and the student's answers.
        vulnerability_weight: λ of `λ V` in the weights' loss.
        vulnerability_trains_gates: whether λ V is in the gates' loss too.
        gate_clean_weight: weight of the clean cross-entropy in the gates' loss.
        beta: β of `β KL / N`, as it is in this step.
        examples: N, the size of the training set.
        unit_weights: (units,) factor on each unit's KL, or None for 1.
        certificate: of objectives on bounds.
    """

    clean_weight: float = 1.0
    adversarial_weight: float = 2.0
    consistency_weight: float = 6.0
    temperature: float = 1.0
    vulnerability_weight: float = 0.0
    vulnerability_trains_gates: bool = False
    gate_clean_weight: float = 0.0
    beta: float = 1.0
    examples: int = 1
    unit_weights: Tensor | None = None
    certificate: Certificate | None = None


@dataclass(frozen=True)
class Losses:
    """Losses of one step, each for its own group of parameters.

    Attributes:
        weights: minimised by the network's weights, 0-dim.
        gates: minimised by the gates, 0-dim, or None where there are none.
        parts: detached 0-dim terms and accuracies for the log.
    """

    weights: Tensor
    gates: Tensor | None
    parts: Mapping[str, Tensor]


Objective = Callable[[nn.Module, Batch, Adversary, Coefficients], Losses]


def weighted(clean: Tensor, adversarial: Tensor, coefficients: Coefficients) -> Tensor:
    """Returns `(c clean + w adversarial) / (c + w)`, 0-dim.

    With c = 1 and w = 2 as in the reference code of Madaan et al. 2020.
    """
    c, w = coefficients.clean_weight, coefficients.adversarial_weight
    return (c * clean + w * adversarial) / (c + w)


def measured(name: str, logits: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Returns the mean cross-entropy, with gradient, and the log's loss and accuracy of it.

    Args:
        name: `clean` or `adversarial`, the beginning of the log's names.
        logits: (batch, classes).
        y: (batch,) int64 classes.
    """
    loss = functional.cross_entropy(logits, y)
    accuracy = (logits.detach().argmax(dim=1) == y).float().mean()
    return loss, {f"{name}_loss": loss.detach(), f"{name}_accuracy": accuracy}


def kl(logits_p: Tensor, logits_q: Tensor, temperature: float = 1.0) -> Tensor:
    """Returns each example's `KL(p ‖ q)`, (batch,), of softmax answers at a temperature."""
    log_p, log_q = ((x / temperature).log_softmax(dim=1) for x in (logits_p, logits_q))
    return functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(dim=1)


def divergence(model: nn.Module, coefficients: Coefficients) -> Tensor:
    """Returns `β KL / N` of a gated model's gates, 0-dim."""
    if not isinstance(model, GatedModel):
        raise ValueError(f"this objective trains gates, but {type(model).__name__} has none")
    return coefficients.beta * model.kl(coefficients.unit_weights) / coefficients.examples

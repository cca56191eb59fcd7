"""What every objective gives back, and the terms that objectives share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from advprune.gates import GatedModel

Adversary = Callable[[Tensor, Tensor], Tensor]
"""(images, labels) → adversarial images, on the network as it would ship now."""


@dataclass(frozen=True)
class Batch:
    """Training examples of one step.

    Attributes:
        x: (batch, channels, height, width) in [0, 1].
        y: (batch,) int64 classes.
    """

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Coefficients:
    """How an objective weighs its terms; notation of `adversarial_weight` is w, of `beta` β.

    Attributes:
        adversarial_weight: w in `(CE_clean + w CE_adv) / (1 + w)`.
        vulnerability_weight: λ of `λ V` in the weights' loss.
        vulnerability_trains_gates: whether λ V is in the gates' loss too.
        gate_clean_weight: weight of the clean cross-entropy in the gates' loss.
        beta: β of `β KL / N`, as it is in this step.
        examples: N, the size of the training set.
        unit_weights: (units,) factor on each unit's KL, or None for 1.
    """

    adversarial_weight: float = 2.0
    vulnerability_weight: float = 0.0
    vulnerability_trains_gates: bool = False
    gate_clean_weight: float = 0.0
    beta: float = 1.0
    examples: int = 1
    unit_weights: Tensor | None = None


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


def weighted(clean: Tensor, adversarial: Tensor, weight: float) -> Tensor:
    """Returns `(CE_clean + w CE_adv) / (1 + w)`, 0-dim (reference code of Madaan et al. 2020)."""
    return (clean + weight * adversarial) / (1 + weight)


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


def divergence(model: nn.Module, coefficients: Coefficients) -> Tensor:
    """Returns `β KL / N` of a gated model's gates, 0-dim."""
    if not isinstance(model, GatedModel):
        raise ValueError(f"this objective trains gates, but {type(model).__name__} has none")
    return coefficients.beta * model.kl(coefficients.unit_weights) / coefficients.examples

"""What an attack maximises: functions of (logits, labels) to one number an example."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits (batch, classes), labels (batch,)) → (batch,), larger where the model is more wrong."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-log softmax(logits)[label], (batch,)."""
    return functional.cross_entropy(logits, labels, reduction="none")


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Largest other logit less the label's, (batch,); above 0 where the model is wrong.

    Source: Carlini & Wagner, "Towards evaluating the robustness of neural networks" (2017), f6.
    """
    true = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.amax(1) - true


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """Difference of logits ratio: the margin over z(1) - z(3), (batch,).

    z(k) is the k-th largest logit, so the loss does not change when the logits are scaled or
    shifted.
    Source: Croce & Hein, "Reliable evaluation of adversarial robustness" (2020), equation 6.

    Raises:
        ValueError: with fewer than three classes.
    """
    if logits.shape[1] < 3:
        raise ValueError(
            f"loss='dlr' with {logits.shape[1]} classes; it needs 3 or more: use 'margin'"
        )
    largest = logits.topk(3, dim=1).values
    return margin(logits, labels) / (largest[:, 0] - largest[:, 2] + 1e-12)


def divergence_from(answer: Tensor) -> Loss:
    """KL(softmax(answer) ‖ softmax(logits)) as a loss, whatever the labels are.

    Source: Zhang et al., "Theoretically principled trade-off between robustness and accuracy"
    (2019), equation 5, where it is the network's own answer to the clean image.

    Args:
        answer: logits, (batch, classes), one row an image of the batch that is attacked.
    """
    log_p = answer.log_softmax(dim=1)

    def divergence(logits: Tensor, _labels: Tensor) -> Tensor:
        log_q = logits.log_softmax(dim=1)
        return functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(dim=1)

    return divergence


def dlr_towards(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Targeted difference of logits ratio: (z_t - z_y) / (z(1) - (z(3) + z(4)) / 2), (batch,).

    Source: Croce & Hein (2020), equation 7.

    Args:
        logits: (batch, classes), at least four classes.
        labels: true classes y, (batch,).
        targets: classes t to answer instead, (batch,).
    """
    largest = logits.topk(4, dim=1).values
    scale = largest[:, 0] - (largest[:, 2] + largest[:, 3]) / 2
    return lead(logits, labels, targets) / (scale + 1e-12)


def lead(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Target's logit less the label's, (batch,)."""
    chosen = logits.gather(1, torch.stack([targets, labels], dim=1))
    return chosen[:, 0] - chosen[:, 1]


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "margin": margin, "dlr": dlr}


def find_loss(loss: str | Loss) -> Loss:
    """The loss of that name; a function is its own.

    Raises:
        ValueError: when no loss has that name.
    """
    if callable(loss):
        return loss
    if loss not in LOSSES:
        raise ValueError(f"loss={loss!r} is unknown; allowed are {', '.join(LOSSES)} or a function")
    return LOSSES[loss]


def suited(loss: Loss, classes: int) -> tuple[Loss, str | None]:
    """The loss, or the margin where it needs more classes, and what to say of that."""
    if loss is not dlr or classes >= 3:
        return loss, None
    return margin, f"the loss is margin: dlr needs 3 classes, there are {classes}"


def targeted(loss: Loss) -> Loss:
    """The loss that is large where the model answers what the attacker wants.

    Raises:
        ValueError: for `dlr`, whose gradient vanishes where the wanted logit is the third.
    """
    if loss is dlr:
        raise ValueError("loss='dlr' with a target; allowed are 'cross_entropy' and 'margin'")
    return lambda logits, wanted: -loss(logits, wanted)

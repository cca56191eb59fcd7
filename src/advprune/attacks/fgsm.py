"""Fast gradient sign method."""

from advprune.attacks.losses import Loss
from advprune.attacks.pgd import PGD
from advprune.threat import ThreatModel


class FGSM(PGD):
    """One steepest-ascent step of length eps from the image itself.

    Source: Goodfellow et al., "Explaining and harnessing adversarial examples" (2015), section 4;
    its step in l2 and l1 is `ThreatModel.ascent`.

    Args:
        threat: what the attacker may do.
        loss: see `Attack`.
    """

    def __init__(self, threat: ThreatModel, *, loss: str | Loss = "cross_entropy") -> None:
        super().__init__(
            threat,
            steps=1,
            step_size=threat.eps,
            loss=loss,
            random_start=False,
            stop_when_fooled=False,
            keep="last",
        )

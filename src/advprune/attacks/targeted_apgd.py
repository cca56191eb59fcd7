"""Auto-PGD towards each of the likeliest wrong classes."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from advprune.attacks.apgd import APGD
from advprune.attacks.losses import Loss, dlr_towards, lead
from advprune.attacks.rounds import rivals
from advprune.attacks.victim import Victim
from advprune.choices import check_count
from advprune.threat import ThreatModel


class TargetedAPGD(APGD):
    """Auto-PGD on the targeted DLR loss, one round a target; any wrong answer ends it.

    Below four classes that loss does not exist, and the target's lead over the true class is
    maximised instead. An attack that wants one certain answer is `APGD` with `target`.

    Source: Croce & Hein, "Reliable evaluation of adversarial robustness" (2020), equation 7.

    Args:
        threat: what the attacker may do.
        steps: steps towards each target, of each restart.
        targets: likeliest wrong classes to try; all where there are fewer.
        restarts: number of random starts for each target.
        rho: see `APGD`.
        precision: see `Attack`.

    Raises:
        ValueError: when a setting is impossible.
    """

    def __init__(
        self,
        threat: ThreatModel,
        *,
        steps: int = 100,
        targets: int = 9,
        restarts: int = 1,
        rho: float = 0.75,
        precision: str = "float32",
    ) -> None:
        super().__init__(
            threat, steps=steps, restarts=restarts, loss="margin", rho=rho, precision=precision
        )
        check_count("targets", targets)
        self.targets = targets

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {"loss": "dlr_towards", "targets": self.targets}

    def _rounds(
        self, victim: Victim, logits: Tensor
    ) -> tuple[int, Callable[[Tensor, Tensor], Callable[[Tensor], Loss]]]:
        victim.refuse_target(self)
        targets = rivals(logits, victim.labels, self.targets)
        towards = dlr_towards
        if logits.shape[1] < 4:
            towards = lead
            victim.notes.append(
                f"the loss is lead: dlr_towards needs 4 classes, there are {logits.shape[1]}"
            )

        def losses_of(rows: Tensor, numbers: Tensor) -> Callable[[Tensor], Loss]:
            wanted = targets[rows, numbers // self.restarts]
            return lambda pairs: partial(towards, targets=wanted[pairs])

        return targets.shape[1] * self.restarts, losses_of

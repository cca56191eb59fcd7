"""Fast adaptive boundary attack towards each of the likeliest wrong classes."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from advprune.attacks.fab import FAB, Linear
from advprune.attacks.losses import lead
from advprune.attacks.rounds import rivals
from advprune.attacks.victim import Victim
from advprune.choices import check_count
from advprune.threat import ThreatModel


class TargetedFAB(FAB):
    """FAB on the boundary towards one class a round, so that a step needs one gradient.

    Source: Croce & Hein, "Reliable evaluation of adversarial robustness" (2020), section 5.

    Args:
        threat: see `FAB`.
        steps: steps towards each target, of each restart.
        targets: likeliest wrong classes to try; all where there are fewer.
        restarts: number of starts for each target, the first of them at the image itself.
        alpha_max: see `FAB`.
        eta: see `FAB`.
        beta: see `FAB`.
        stop_when_fooled: see `FAB`.

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
        alpha_max: float = 0.1,
        eta: float = 1.05,
        beta: float = 0.9,
        stop_when_fooled: bool = False,
    ) -> None:
        super().__init__(
            threat,
            steps=steps,
            restarts=restarts,
            alpha_max=alpha_max,
            eta=eta,
            beta=beta,
            stop_when_fooled=stop_when_fooled,
        )
        check_count("targets", targets)
        self.targets = targets

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {"loss": "lead", "targets": self.targets}

    def _rounds(
        self, victim: Victim, logits: Tensor
    ) -> tuple[int, Callable[[Tensor, Tensor], Linear]]:
        wanted = rivals(logits, victim.labels, self.targets)

        def linear_of(rows: Tensor, targets: Tensor) -> Linear:
            goals = wanted[rows, targets]

            def linear(x: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
                towards = partial(lead, targets=goals[pairs])
                normal, leads, _ = victim.gradient(x, rows[pairs], towards)
                return -leads, normal.flatten(1), leads.mean()

            return linear

        return wanted.shape[1], linear_of

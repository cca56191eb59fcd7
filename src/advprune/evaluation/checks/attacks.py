"""What attacks that should be weak, or the same attack's steps, say of the strong ones."""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from advprune.attacks.losses import cross_entropy
from advprune.evaluation.checks.table import NOISE, exceeding
from advprune.evaluation.result import Finding
from advprune.evaluation.trial import Trial

MANY_STEPS = ("iterated", "minimum-norm")
BY_GRADIENTS = (*MANY_STEPS, "single-step")


def check_attacks(
    trials: Mapping[str, Trial], broken: Mapping[str, Tensor], right: Tensor
) -> Iterator[Finding]:
    """Look for weak attacks that break what strong ones leave.

    Args:
        trials: The attacks by name.
        broken: Which examples each attack broke, (examples,) bool.
        right: Which examples were right before, (examples,) bool.
    """

    def by(wanted: Callable[[Trial], bool]) -> Tensor:
        hits = [broken[name] for name, trial in trials.items() if wanted(trial)]
        return torch.stack(hits).any(0) if hits else torch.zeros_like(right)

    def kind(*kinds: str) -> Tensor:
        return by(lambda trial: trial.kind in kinds)

    iterated, white_box, queried = kind(*MANY_STEPS), kind(*BY_GRADIENTS), kind("black-box")
    blind = by(lambda trial: trial.kind == "iterated" and trial.attack.loss is cross_entropy)
    figures = {
        "FGSM stronger than PGD": kind("single-step") & ~iterated,
        "transfer stronger than white-box": kind("transfer") & ~iterated,
        "noise stronger than attacks": kind("noise") & ~(white_box | queried),
    }
    if blind.any() or not iterated.any():
        figures["cross-entropy weaker than margin"] = iterated & ~blind
    yield from exceeding({name: _share(hits) for name, hits in figures.items()})
    alone = _share(queried & ~white_box)
    left, escalated = _share(right & ~white_box), _share(right & ~white_box & ~queried)
    said = (
        f"White-box attacks overstate by {100 * alone:.2f} points: they leave {100 * left:.2f} %, "
        f"with queries {100 * escalated:.2f} % are left."
    )
    yield from exceeding({"black-box stronger than white-box": alone}, said)


def check_losses(trials: Mapping[str, Trial], losses: Mapping[str, Tensor]) -> Iterator[Finding]:
    """Look for attacks whose steps do not raise the loss that they climb.

    Source: Carlini et al., "On evaluating adversarial robustness" (2019), section 4.

    Args:
        trials: The attacks by name.
        losses: Mean loss at each step of those that left some examples right, (steps,).
    """
    climbs = [
        climb
        for name, climb in losses.items()
        if trials[name].kind == "iterated" and len(climb) > 1
    ]
    if climbs:
        flat = sum((climb[-1] - climb[0]).item() <= NOISE for climb in climbs)
        yield from exceeding({"loss does not rise": flat / len(climbs)})


def _share(chosen: Tensor) -> float:
    return chosen.float().mean().item()

"""Signs that a robustness figure is not what it seems."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from advprune.attacks.losses import margin
from advprune.evaluation.result import Finding
from advprune.evaluation.suites import Trial

SHARE = 0.01
"""Share of examples from which a sign is worth a warning."""

NOISE = 1e-5
"""Largest difference between two outputs for the same images that is put down to rounding."""


def check_model(model: nn.Module, x: Tensor, y: Tensor) -> Iterator[Finding]:
    """Look for outputs and gradients that mislead attacks, on one batch.

    Args:
        model: Classifier in evaluation mode.
        x: Images, (batch, channels, height, width).
        y: True classes, (batch,).
    """
    with torch.no_grad():
        first, second = model(x), model(x)
    measured = {
        "random output": ((first - second).abs().max().item(), NOISE),
        "output is probabilities": (_share_of_probabilities(first), 0.5),
        "zero gradients": (_share_of_zero_gradients(model, x, y), SHARE),
    }
    yield from _exceeding(measured)


def check_attacks(trials: Mapping[str, Trial], broken: Mapping[str, Tensor]) -> Iterator[Finding]:
    """Look for weak attacks that break what strong ones leave.

    Args:
        trials: The attacks by name.
        broken: Which examples each attack broke, (examples,) bool.
    """

    def by(kind: str) -> Tensor:
        hits = [broken[name] for name, trial in trials.items() if trial.kind == kind]
        return torch.stack(hits).any(0) if hits else torch.zeros_like(next(iter(broken.values())))

    iterated = by("iterated")
    yield from _exceeding(
        {
            "FGSM stronger than PGD": (
                (by("single-step") & ~iterated).float().mean().item(),
                SHARE,
            ),
            "transfer stronger than white-box": (
                (by("transfer") & ~iterated).float().mean().item(),
                SHARE,
            ),
        }
    )


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
        yield from _exceeding({"loss does not rise": (flat / len(climbs), 0.0)})


_ADVICE = {
    "random output": "The largest difference between two answers to the same images: the model "
    "draws random numbers, so that no single figure describes it. Make evaluation deterministic, "
    "or average the attack's gradients and the answers over many draws.",
    "output is probabilities": "The share of answers that look like probabilities: a softmax at "
    "the end hides gradients from attacks. Return logits.",
    "zero gradients": "The share of images at which the margin has no gradient at all: attacks "
    "cannot see there, and the figures flatter. Try attacks without gradients.",
    "FGSM stronger than PGD": "The share of examples that one step breaks and many do not: PGD is "
    "misled or its steps are too few. Give more steps and restarts, or other step sizes.",
    "loss does not rise": "The share of the iterated attacks whose mean loss ends no higher than "
    "it began: the gradients lead nowhere, and the figures flatter. Try another loss, other step "
    "sizes, and attacks without gradients.",
    "transfer stronger than white-box": "The share of examples broken only with another network's "
    "gradients: this one's own are masked. Believe neither figure before stronger attacks.",
}


def _exceeding(measured: Mapping[str, tuple[float, float]]) -> Iterator[Finding]:
    for name, (figure, threshold) in measured.items():
        if figure > threshold:
            yield Finding(name, figure, threshold, _ADVICE[name])


def _share_of_probabilities(outputs: Tensor) -> float:
    within = (outputs >= 0).all(1) & (outputs <= 1).all(1)
    return (within & ((outputs.sum(1) - 1).abs() < 1e-4)).float().mean().item()


def _share_of_zero_gradients(model: nn.Module, x: Tensor, y: Tensor) -> float:
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        total = margin(model(x), y).sum()
        (gradient,) = torch.autograd.grad(total, x)
    return (gradient.flatten(1).abs().amax(1) == 0).float().mean().item()

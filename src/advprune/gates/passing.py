"""What of a gate depends on what the layer behind it is given."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.gates.base import Gate
from advprune.structure import Layer, Structure
from advprune.structure.input_gate import grouped_means, key_of, means

MARGIN = 1e-6
"""Probabilities that are drawn from stay this far from 0 and 1."""


class Passing(nn.BatchNorm1d):
    """The probability with which an example opens each unit of a group, at one of its readers.

    `φ(x) = clip(γ (x - μ) / σ + β, 0, 1)`, where x is the unit's mean in the example, μ and σ are
    its statistics (those of the batch in training) and `β ~ N(η, κ²)`, with N(0, ρ²) a priori. The
    gradient of a training pass does not reach x, as in the reference code.

    Source: Lee et al. 2018 (arXiv 1805.10896), section 3.3.

    Attributes:
        weight: γ, (units,).
        bias: η, (units,).
        raw_spread: κ before its softplus, (units,).
        share: moving average of φ over examples, (units,): how often the unit passes.

    Args:
        units: number of units.
        center: first η.
        prior: ρ.
        temperature: of the binary concrete relaxation of what is drawn.
    """

    share: Tensor

    def __init__(self, units: int, *, center: float, prior: float, temperature: float) -> None:
        super().__init__(units)
        self.prior = prior
        self.temperature = temperature
        self.raw_spread = nn.Parameter(torch.full((units,), 0.5413))  # κ = 1
        self.register_buffer("share", torch.ones(units))
        with torch.no_grad():
            self.bias.fill_(center)

    @property
    def spread(self) -> Tensor:
        """Returns κ, (units,)."""
        return functional.softplus(self.raw_spread)

    def kl_per_unit(self) -> Tensor:
        """Returns `log(ρ/κ) + (κ² + η²) / (2 ρ²) - 1/2`, (units,)."""
        squares = self.spread.square() + self.bias.square()
        return torch.log(self.prior / self.spread) + squares / (2 * self.prior**2) - 0.5

    def line(self) -> tuple[Tensor, Tensor]:
        """Returns a and b, (units,) each, of `φ(x) = clip(a x + b, 0, 1)` in evaluation."""
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = self.weight / torch.sqrt(self.running_var + self.eps)
        return scale, self.bias - scale * self.running_mean

    def chance(self, features: Tensor, given: Tensor, sampling: bool, copies: int) -> Tensor:
        """Returns φ, or with `sampling` a relaxed draw from Bernoulli(φ), (rows, units).

        Args:
            features: x, (rows, units).
            given: (units,) bool, the units that the reader is given at all.
            sampling: whether β and the gates are drawn.
            copies: how many counterparts of each row there are, block by block, which share draws.
        """
        level: Tensor = self(features.detach() if self.training else features)
        if self.training:
            self._note(torch.where(given, level.detach().clamp(0, 1).mean(0), 0))
        if not sampling:
            return level.clamp(0, 1)
        level = level + self.spread * torch.randn_like(self.spread)
        noise = torch.rand_like(level[: len(level) // copies]).clamp(MARGIN, 1 - MARGIN)
        logits = torch.logit(level.clamp(MARGIN, 1 - MARGIN))
        return torch.sigmoid((logits + torch.logit(noise).repeat(copies, 1)) / self.temperature)

    @torch.no_grad()
    def _note(self, share: Tensor) -> None:
        assert self.momentum is not None
        self.share.lerp_(share.to(self.share), self.momentum)


def passed(
    gates: Mapping[str, Gate],
    structure: Structure,
    name: str,
    x: Tensor,
    sampling: bool,
    copies: int,
) -> Tensor | None:
    """Returns what every unit is multiplied by because of what a layer is given.

    Args:
        gates: by group.
        structure: of the model.
        name: of the layer.
        x: what it is given.
        sampling: whether to draw.
        copies: counterparts of each example in the batch.

    Returns:
        (rows of x, all units + 1), 1 where nothing depends on it; None where no gate does.
    """
    if not any(gate.passings for gate in gates.values()):
        return None
    layer = structure.layers[name]
    channels = means(x, layer.channels)
    factor = channels.new_ones(len(x), structure.units + 1)
    for given in given_units(layer):
        units = given.to(x.device)
        features = grouped_means(channels, units, structure.units + 1)
        here = torch.zeros(structure.units + 1, dtype=torch.bool, device=x.device)
        here[units] = True
        for group, gate in gates.items():
            span = structure.groups[group].span
            if bool(here[span].any()):
                passing = gate.passings[key_of(name)]
                assert isinstance(passing, Passing)
                factor[:, span] = passing.chance(features[:, span], here[span], sampling, copies)
    return factor


def given_units(layer: Layer) -> tuple[Tensor, ...]:
    """Returns the units of each channel that a layer is given, one tensor (channels,) a factor."""
    arriving = layer.inputs[0] if layer.arriving is None else layer.arriving
    return (arriving, *layer.inputs[1:])

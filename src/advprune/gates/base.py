"""What every family of gates offers."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

ACTIVE_ABOVE = 1e-3
"""A unit is active while its expected gate is larger (reference code of Madaan et al. 2020)."""


class Gate(nn.Module, ABC):
    """A random factor for each unit of a group.

    Attributes:
        units: how many units the gate decides on.
        passings: what of the gate depends on what its readers are given, by reader; mostly empty.
    """

    units: int

    def __init__(self) -> None:
        super().__init__()
        self.passings = nn.ModuleDict()

    @abstractmethod
    def sample(self, batch: int) -> Tensor:
        """Returns one draw for each example and unit, (batch, units), with gradient."""

    @abstractmethod
    def mean(self) -> Tensor:
        """Returns the mean of the gate's distribution, (units,), with gradient."""

    @abstractmethod
    def kl_per_unit(self) -> Tensor:
        """Returns each unit's KL divergence from its prior, (units,), with gradient."""

    def kl(self) -> Tensor:
        """Returns the KL divergence summed over units, 0-dim, with gradient."""
        return self.kl_per_unit().sum()

    def active(self) -> Tensor:
        """Returns (units,) bool: the units that stay when the network is cut."""
        return self.expected().detach() != 0

    @abstractmethod
    def close(self, units: Tensor) -> None:
        """Closes the units that are True in (units,) bool, in place: they become inactive."""

    @abstractmethod
    def revive(self, units: Tensor) -> None:
        """Makes the units that are True in (units,) bool active again, in place."""

    def expected(self) -> Tensor:
        """Returns the value that stands for each gate in evaluation, (units,): 0 where inactive."""
        mean = self.mean()
        return torch.where(self.score() > ACTIVE_ABOVE, mean, torch.zeros_like(mean))

    def score(self) -> Tensor:
        """Returns how far each unit is from being cut, (units,): the keep rule of the family.

        It is above 0, and above `ACTIVE_ABOVE` where the unit is active; its logarithm is what
        optimisers move at a bounded speed. The mean, unless a family says otherwise.
        """
        return self.mean()

    def read_by(self, layer: str) -> None:
        """Notes, when gates are placed, that a layer of this name reads the units."""
        del layer

"""Gates whose values somebody else sets."""

import torch
from torch import Tensor

from advprune.gates.base import Gate


class Fixed(Gate):
    """Plain gates: neither random nor learned, all 1 at first.

    Attributes:
        values: (units,), read at every forward pass; a parameter or buffer may be put in its place.
    """

    values: Tensor

    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = units
        self.register_buffer("values", torch.ones(units))

    def sample(self, batch: int) -> Tensor:
        """Returns the values for each example, (batch, units)."""
        return self.values.expand(batch, self.units)

    def mean(self) -> Tensor:
        """Returns the values, (units,)."""
        return self.values

    def kl_per_unit(self) -> Tensor:
        """Returns zeros, (units,): there is no prior."""
        return torch.zeros_like(self.values)

    def close(self, units: Tensor) -> None:
        """Sets the given units' values to 0."""
        self.values.data[units] = 0

    def revive(self, units: Tensor) -> None:
        """Sets the given units' values to 1."""
        self.values.data[units] = 1

    def expected(self) -> Tensor:
        """Returns the values, (units,)."""
        return self.values

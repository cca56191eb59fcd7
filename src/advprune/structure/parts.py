"""Groups of units, and the layers that read and make them."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """Units that one gate decides on.

    Attributes:
        name: the first layer, in execution order, that makes the units.
        units: how many there are now.
        total: how many there were before any was removed.
        start: position of the first one in the vector of all units.
    """

    name: str
    units: int
    total: int
    start: int

    @property
    def span(self) -> slice:
        """Returns the group's place in the vector of all units."""
        return slice(self.start, self.start + self.units)


class Columns:
    """Takes columns out of a vector; a run in which each is repeated alike needs no gather.

    Args:
        index: (columns,), which ones.
    """

    def __init__(self, index: Tensor) -> None:
        self._index = index
        self._start, self._stop = int(index.min()), int(index.max()) + 1
        self._repeat = len(index) // (self._stop - self._start)
        run = torch.arange(self._start, self._stop).repeat_interleave(self._repeat)
        self._is_run = torch.equal(run, index)

    def of(self, values: Tensor) -> Tensor:
        """Returns the columns of the last dimension."""
        if not self._is_run:
            return values.index_select(-1, self._index.to(values.device))
        columns = values[..., self._start : self._stop]
        return columns if self._repeat == 1 else columns.repeat_interleave(self._repeat, dim=-1)


@dataclass(frozen=True)
class Examples:
    """Where the examples of a batch lie in a value.

    Attributes:
        dim: the dimension along which they do.
        outer: how often the whole batch comes again there, as where tokens go before examples.
        inner: how many places of one example lie side by side there, as windows of an image do.
    """

    dim: int = 0
    outer: int = 1
    inner: int = 1

    def spread(self, rows: Tensor) -> Tensor:
        """Returns a row for each place along the dimension, from (examples or 1, columns)."""
        if len(rows) == 1:
            return rows
        return rows.repeat_interleave(self.inner, dim=0).repeat(self.outer, 1)

    def first(self, value: Tensor, channels: int) -> Tensor:
        """Returns (examples, channels, places) of a value, given the dimension of its channels."""
        rows = value.movedim((self.dim, channels % value.dim()), (0, -1))
        parts = rows.reshape(self.outer, -1, self.inner, *rows.shape[1:]).transpose(0, 1)
        return parts.flatten(1, -2).transpose(1, 2)


@dataclass(frozen=True)
class Reading:
    """A layer met on the way: the units of its weight, and where its gate sits.

    Attributes:
        reads: dimension of the weight that reads.
        inputs: (inputs,) units along that dimension.
        outputs: (outputs,) units that each input feeds.
        arriving: (channels,) units of the layer's input.
        channels: dimension of the layer's input along which they lie.
        pair_macs: multiply-accumulates of one input feeding one output, for one example.
        parameter: qualified name of the weight, '' for a computed one.
        examples: where the examples lie in the layer's input.
        chosen: the units of what the inputs are chosen from one by one; None where they are all.
    """

    reads: int
    inputs: Tensor
    outputs: Tensor
    arriving: Tensor
    channels: int
    pair_macs: int
    parameter: str = ""
    examples: Examples = Examples()
    chosen: Tensor | None = None


@dataclass(frozen=True)
class Layer:
    """A layer that reads units along one dimension of its weight and makes units along another.

    Attributes:
        module: qualified name of the layer.
        inputs: the units that decide on each input along the weight, one tensor (inputs,) a factor:
            first the units that arrive, then those of a gate on the layer's own inputs, if it has
            one.
        outputs: the unit of each output, (outputs,).
        pair_macs: multiply-accumulates, for one example, of one input feeding one output.
        parameter: qualified name of the weight, '' where it is computed.
        reads: dimension of the weight along which the inputs lie.
        arriving: the unit of each channel of what the layer is given, where a convolution's groups
            share columns of the weight; None where these are the inputs themselves.
        channels: dimension of what the layer is given along which they lie.
        examples: where the examples lie in it.
        places: how many places a unit has in what the inputs are chosen from one by one; 0 where
            they are all of it.
    """

    module: str
    inputs: tuple[Tensor, ...]
    outputs: Tensor
    pair_macs: int
    parameter: str = ""
    reads: int = 1
    arriving: Tensor | None = None
    channels: int = 1
    examples: Examples = Examples()
    places: int = 0

    @property
    def given(self) -> Tensor:
        """Returns the unit of each channel that the layer is given, (channels,)."""
        return self.inputs[0] if self.arriving is None else self.arriving

    def columns(self, group: Group) -> Tensor:
        """Returns, (units, places), which channels are those of each unit of a group.

        A place that the layer does not read has the number behind the last channel.
        """
        local = self.given - group.start
        columns = ((local >= 0) & (local < group.units)).nonzero().flatten()
        unit, order = local[columns].sort(stable=True)
        counts = torch.bincount(unit, minlength=group.units)
        rank = torch.arange(len(unit)) - (counts.cumsum(0) - counts)[unit]
        table = torch.full((group.units, max(self.places, int(counts.max()))), len(local))
        table[unit, rank] = columns[order]
        return table

    def factor(self, values: Tensor) -> Tensor:
        """Returns what multiplies each input: the product of its units' values, (..., inputs).

        Args:
            values: (..., units + 1), bool too (then an input is open where all its units are).
        """
        product = self._columns[0].of(values)
        for columns in self._columns[1:]:
            product = product * columns.of(values)
        return product

    def gates(self, values: Tensor) -> Tensor:
        """Returns what multiplies each channel that the layer is given, (..., channels).

        Args:
            values: (..., units + 1).
        """
        return self.factor(values) if self.arriving is None else self._given.of(values)

    def beside(self, values: Tensor, x: Tensor) -> Tensor:
        """Returns `gates` of each example in a shape that multiplies what the layer is given.

        Args:
            values: (examples or 1, units + 1).
            x: what the layer is given.
        """
        factor = self.examples.spread(self.gates(values))
        rows, columns = self.examples.dim, self.channels % x.dim()
        shape = [1] * x.dim()
        shape[rows], shape[columns] = factor.shape
        return (factor if rows < columns else factor.t()).reshape(shape)

    @cached_property
    def _columns(self) -> tuple["Columns", ...]:
        return tuple(Columns(units) for units in self.inputs)

    @cached_property
    def _given(self) -> "Columns":
        return Columns(self.given)

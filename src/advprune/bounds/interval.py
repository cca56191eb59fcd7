"""Interval bound propagation (Gowal et al. 2018, arXiv 1810.12715), on demand."""

from collections.abc import Mapping

from advprune.bounds.network import Network
from advprune.bounds.operators import Interval
from advprune.bounds.region import Region
from advprune.bounds.steps import IMAGE


class Intervals:
    """Intervals of a network's values, computed when they are asked for and then kept.

    Args:
        network: whose values.
        region: what its images may be.
        known: intervals of some values to begin with, which nothing is computed for.
    """

    def __init__(
        self, network: Network, region: Region, known: Mapping[str, Interval] | None = None
    ) -> None:
        self._steps = {step.name: step for step in network.steps}
        self._known = {IMAGE: region.box(), **(known or {})}

    def of(self, name: str) -> Interval:
        """Returns the interval of a value, (batch, *shape) each end."""
        if name not in self._known:
            step = self._steps[name]
            if step.shortcut is not None:
                source, directly = step.shortcut
                self._known[name] = directly(self.of(source))
            else:
                inputs = [self.of(source) for source in step.inputs]
                self._known[name] = step.operator.interval(inputs)
        return self._known[name]

    def tighten(self, name: str, interval: Interval) -> None:
        """Narrows a value's interval; what was computed from it already stays as it is."""
        self._known[name] = self.of(name).meet(interval)

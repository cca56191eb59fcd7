"""Random numbers that belong to an example, whatever batch it is attacked in."""

import torch
from torch import Tensor


class RowNoise:
    """One stream of random numbers an example.

    What an example meets depends on neither the batch's size nor its other examples, nor on which
    of them have left it.

    Args:
        examples: how many streams.
        generator: gives their seeds; None is a fresh one with seed 0.
    """

    def __init__(self, examples: int, generator: torch.Generator | None = None) -> None:
        generator = generator or torch.Generator().manual_seed(0)
        seeds = torch.randint(2**62, (examples,), generator=generator, device=generator.device)
        self.seeds: list[int] = seeds.tolist()
        self._streams = [torch.Generator().manual_seed(seed) for seed in self.seeds]

    def uniform(self, rows: Tensor, *shape: int) -> Tensor:
        """The next numbers in [0, 1) of those rows' streams, (rows, *shape), on the CPU."""
        drawn = [torch.rand(shape, generator=self._streams[row]) for row in rows.tolist()]
        return torch.stack(drawn) if drawn else torch.empty(0, *shape)

    def signs(self, rows: Tensor, *shape: int) -> Tensor:
        """The next -1 and 1 of those rows' streams, equally likely, (rows, *shape)."""
        return (self.uniform(rows, *shape) < 0.5).float().mul_(2).sub_(1)

"""Sparse variational dropout of whole units.

Sources: Molchanov, Ashukha & Vetrov 2017, "Variational dropout sparsifies deep neural networks"
(arXiv 1701.05369), section 4.2 for additive noise and equation 14 for the divergence; one noise a
unit in place of one a weight as in Neklyudov et al. 2017, section 3.1.
"""

from torch import Tensor

from advprune.gates.gaussian import Gaussian
from advprune.models.sparse_gaussian import log_uniform_divergence


class VariationalDropout(Gaussian):
    """Gates `m = μ + σ ε` under a log-uniform prior.

    Args:
        units: number of units.
        start: first log σ².
        threshold: log α = log(σ²/μ²) from which on a unit goes.
    """

    def __init__(self, units: int, *, start: float = -8.0, threshold: float = 3.0) -> None:
        super().__init__(units, start=start, threshold=threshold)

    def kl_per_unit(self) -> Tensor:
        """Returns the divergence from the log-uniform prior, (units,)."""
        return log_uniform_divergence(self.log_alpha)

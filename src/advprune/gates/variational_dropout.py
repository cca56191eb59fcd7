"""Sparse variational dropout of whole units.

Sources: Molchanov, Ashukha & Vetrov 2017, "Variational dropout sparsifies deep neural networks"
(arXiv 1701.05369), section 4.2 for additive noise and equation 14 for the divergence; one noise a
unit in place of one a weight as in Neklyudov et al. 2017, section 3.1.
"""

from torch import Tensor
from torch.nn import functional

from advprune.gates.gaussian import Gaussian

_K1, _K2, _K3 = 0.63576, 1.87320, 1.48695


def log_uniform_divergence(log_alpha: Tensor) -> Tensor:
    """Returns the KL divergence of N(μ, α μ²) from the log-uniform prior, elementwise.

    `k1 - k1 σ(k2 + k3 log α) + ½ log(1 + 1/α)` with k = 0.63576, 1.87320, 1.48695: an approximation
    with an error below 0.01, 0 where α is infinite.
    """
    first = _K1 - _K1 * (_K2 + _K3 * log_alpha).sigmoid()
    return first + 0.5 * functional.softplus(-log_alpha)


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

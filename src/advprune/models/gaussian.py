"""A network whose weights are Gaussian."""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional


class GaussianModel(nn.Module):
    """A network each of whose parameters is drawn from `N(μ, softplus(ρ)²)`.

    In train mode each forward pass draws all of them once, for the whole batch; in eval mode the
    means stand in, so it is deterministic and `model` by itself is what ships.

    Source: Liu et al. 2019, "Adv-BNN: improved adversarial defense through robust Bayesian neural
    network" (arXiv 1810.01279), section 3.

    Attributes:
        model: the network; its parameters are the means μ.
        spread: ρ of each parameter that is trained, in their order.
        prior: σ₀ of the prior N(0, σ₀²).

    Args:
        model: the network.
        start: first ρ of every parameter.
        prior: σ₀.

    Raises:
        ValueError: `prior` is not positive.
    """

    def __init__(self, model: nn.Module, *, start: float = -3.0, prior: float = 1.0) -> None:
        super().__init__()
        if not prior > 0:
            raise ValueError(f"prior={prior}: it must be over 0")
        self.model = model
        self.prior = prior
        self.spread = nn.ParameterList(torch.full_like(mean, start) for mean in self.means())
        self.training = model.training

    def means(self) -> list[nn.Parameter]:
        """Returns μ of each parameter that is trained."""
        return [value for value in self.model.parameters() if value.requires_grad]

    def forward(self, x: Tensor) -> Tensor:
        """Returns what the network returns under drawn weights, or under their means."""
        if not self.training:
            expected: Tensor = self.model(x)
            return expected
        return self.draw(x)

    def draw(self, x: Tensor) -> Tensor:
        """Returns what the network returns under drawn weights, in any mode."""
        drawn: Tensor = functional_call(self.model, self._drawn(), (x,))
        return drawn

    def shipped(self) -> nn.Module:
        """Returns the plain network of the means."""
        return self.model

    def kl(self) -> Tensor:
        """Returns `Σ log(σ₀/σ) + (σ² + μ²) / (2 σ₀²) - 1/2` over all parameters, 0-dim."""
        total = torch.zeros((), device=self.spread[0].device)
        for mean, raw in zip(self.means(), self.spread, strict=True):
            sigma = functional.softplus(raw)
            ratio = (sigma**2 + mean**2) / (2 * self.prior**2)
            total = total + (ratio - torch.log(sigma / self.prior) - 0.5).sum()
        return total

    def _drawn(self) -> dict[str, Tensor]:
        names = [name for name, value in self.model.named_parameters() if value.requires_grad]
        return {
            name: mean + functional.softplus(raw) * torch.randn_like(mean)
            for name, mean, raw in zip(names, self.means(), self.spread, strict=True)
        }


class DrawnModel(nn.Module):
    """A network with Gaussian weights that are drawn in every pass, in evaluation too.

    As in the paper, where answers are averages over some passes; its figures are random.

    Args:
        model: the network.
    """

    def __init__(self, model: GaussianModel) -> None:
        super().__init__()
        self.model = model
        self.training = model.training

    def forward(self, x: Tensor) -> Tensor:
        """Returns the logits of one draw for the whole batch."""
        return self.model.draw(x)

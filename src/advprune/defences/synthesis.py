"""Analysis by synthesis: the answer is the class whose generative model explains an image best."""

import torch
from torch import Tensor, nn

from advprune.choices import check_count


class Synthesis(nn.Module):
    """A variational auto-encoder for each class; inference by optimisation in its latent space.

    ℓ_y(x) = max over z of log p(x | z, y) - KL(N(z, 1) ‖ N(0, 1))
           = max over z of -‖x - G_y(z)‖² / (2 σ²) - ‖z‖² / 2, constants left out,
    and p(y | x) ∝ exp(α ℓ_y(x)) + η. Logits are log(exp(α ℓ_y) + η).

    z starts from the best of some draws from the prior and of the encoder's mean, and climbs by
    Adam. It is then held: by the envelope theorem the gradient of ℓ in x is that at a fixed best z,
    so attacks need not follow the optimisation.

    Source: Schott, Rauber, Bethge & Brendel, "Towards the first adversarially robust neural network
    model on MNIST" (2019), section 3.

    Args:
        pixels: of an image.
        classes: number of classes.
        latent: size of z.
        hidden: units of each network's hidden layer.
        spread: σ.
        sharpness: α.
        floor: η; with 0, as here by default, no answer is uncertain, and no gradient hidden.
        draws: latents to start from, of each class.
        steps: of Adam.
        rate: its rate.
    """

    starts: Tensor

    def __init__(
        self,
        pixels: int,
        classes: int = 10,
        *,
        latent: int = 8,
        hidden: int = 64,
        spread: float = 0.2,
        sharpness: float = 1.0,
        floor: float = 0.0,
        draws: int = 64,
        steps: int = 20,
        rate: float = 0.1,
    ) -> None:
        super().__init__()
        check_count("steps", steps)
        check_count("draws", draws)
        for name, value in (("spread", spread), ("sharpness", sharpness)):
            if not value > 0:
                raise ValueError(f"{name}={value}; allowed are numbers above 0")
        if not floor >= 0:
            raise ValueError(f"floor={floor}; allowed are numbers from 0")
        self.spread, self.sharpness, self.floor = spread, sharpness, floor
        self.steps, self.rate = steps, rate
        self.encoder: nn.Module = nn.Sequential(
            ClassWise(classes, pixels, hidden), nn.Tanh(), ClassWise(classes, hidden, 2 * latent)
        )
        self.decoder: nn.Module = nn.Sequential(
            ClassWise(classes, latent, hidden), nn.Tanh(), ClassWise(classes, hidden, pixels)
        )
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("starts", torch.randn(classes, draws, latent, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """Images (batch, ...) → logits (batch, classes)."""
        scaled = self.sharpness * self.bounds(x)
        return torch.logaddexp(scaled, scaled.new_tensor(self.floor).log())

    def bounds(self, x: Tensor) -> Tensor:
        """ℓ_y of each class, (batch, classes)."""
        flat = x.flatten(1).expand(len(self.starts), -1, -1)
        return self._bound(flat, self.explain(x)).T

    def explain(self, x: Tensor) -> Tensor:
        """The best latent found of each class, (classes, batch, latent), without gradient."""
        flat = x.detach().flatten(1).expand(len(self.starts), -1, -1)
        with torch.no_grad():
            z = self._start(flat)
        adam = torch.optim.Adam([z.requires_grad_()], self.rate, maximize=True)
        for _ in range(self.steps):
            with torch.enable_grad():
                (z.grad,) = torch.autograd.grad(self._bound(flat, z).sum(), z)
            adam.step()
        return z.detach()

    def evidence(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The bound that training maximises, of images of each class, (classes, batch).

        E log p(x | z, y) - KL(q(z | x) ‖ N(0, 1)), one draw of z from the encoder's Gaussian.

        Args:
            x: images of each class, (classes, batch, pixels).
            generator: source of the noise.
        """
        mean, log_variance = self.encoder(x).chunk(2, dim=2)
        noise = torch.randn(mean.shape, generator=generator)
        fit = self._fit(x, mean + (log_variance / 2).exp() * noise)
        divergence: Tensor = (mean.square() + log_variance.exp() - log_variance - 1).sum(2) / 2
        return fit - divergence

    def _bound(self, x: Tensor, z: Tensor) -> Tensor:
        return self._fit(x, z) - z.square().sum(2) / 2

    def _fit(self, x: Tensor, z: Tensor) -> Tensor:
        made: Tensor = self.decoder(z)
        return -(x - made).square().sum(2) / (2 * self.spread**2)

    def _start(self, x: Tensor) -> Tensor:
        """The best of the draws, or the encoder's mean where that is better."""
        drawn = self.decoder(self.starts)
        prior = self.starts.square().sum(2) / 2
        scores = -torch.cdist(x, drawn).square() / (2 * self.spread**2) - prior[:, None]
        best = scores.argmax(2)
        latents = self.starts.gather(1, best[..., None].expand(-1, -1, self.starts.shape[2]))
        mean = self.encoder(x).chunk(2, dim=2)[0]
        better = self._bound(x, mean) > scores.amax(2)
        return torch.where(better[..., None], mean, latents)


class ClassWise(nn.Module):
    """A linear layer of its own for each class.

    Args:
        classes: number of classes.
        inputs: size of what each gets.
        outputs: size of what each gives.
    """

    def __init__(self, classes: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, inputs, outputs) / inputs**0.5)
        self.bias = nn.Parameter(torch.zeros(classes, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(classes, batch, inputs) → (classes, batch, outputs)."""
        return torch.baddbmm(self.bias, x, self.weight)

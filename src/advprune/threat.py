"""What an attacker may do: a norm, a radius and the range of the pixels."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

NORMS = ("linf", "l2", "l1")

TOLERANCE = 1e-6
"""Rounding forgiven in each pixel, as a share of the pixels' range.

The only tolerance of the project's threat models: a perturbation may exceed its radius by the norm
of a vector whose entries are all this large.
"""

SPARSITY = 0.01
"""Share of the pixels that an L1 step moves: the 99th percentile of Tramèr & Boneh (2019)."""


class OutsideThreatError(RuntimeError):
    """An attack returned images that its threat model does not allow."""


@dataclass(frozen=True, init=False)
class ThreatModel:
    """All images within `eps` of an image in some norm, and within the range of pixels.

    S(x) = {x' : ‖x' - x‖ ≤ eps, low ≤ x' ≤ high}, in the space of the pixels: normalisation is a
    layer of the model.

    Args:
        norm: "linf", "l2" or "l1", over all channels and positions of one image.
        eps: radius in units of pixels; a number or text such as "8/255". Above 0.
        bounds: smallest and largest value of a pixel.

    Raises:
        ValueError: when a setting is impossible.
    """

    norm: str
    eps: float
    bounds: tuple[float, float]

    def __init__(
        self,
        norm: str = "linf",
        eps: float | str = "8/255",
        bounds: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        if norm not in NORMS:
            raise ValueError(f"norm={norm!r} is unknown; allowed are {', '.join(NORMS)}")
        object.__setattr__(self, "norm", norm)
        object.__setattr__(self, "bounds", _checked_bounds(bounds))
        object.__setattr__(self, "eps", self._checked_radius(eps))
        if self.eps == 0:
            raise ValueError("eps=0 allows no attack; give a radius above 0, such as '8/255'")

    def at(self, eps: float | str) -> "ThreatModel":
        """The same threat with another radius; 0 is allowed, for curves over the radius."""
        other = copy.copy(self)
        object.__setattr__(other, "eps", self._checked_radius(eps))
        return other

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """Bring images into the threat model.

        linf and l1: exact projection onto ball and bounds together. l2: onto the ball around `x`,
        then onto the bounds, which cannot leave the ball since `x` lies within them.

        Args:
            x_adv: images to move, (batch, channels, height, width).
            x: centres of the balls, same shape, within the bounds.

        Returns:
            The projected images, same shape.
        """
        return self.projection(x)(x_adv)

    def projection(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """`project` for one fixed `x`, with what depends on `x` alone computed once."""
        low, high = self.bounds
        if self.norm == "linf":
            lowest, highest = (x - self.eps).clamp_(min=low), (x + self.eps).clamp_(max=high)
            return lambda x_adv: x_adv.clamp(lowest, highest)
        if self.norm == "l2":
            return lambda x_adv: (
                x + _onto_l2_ball((x_adv - x).flatten(1), self.eps).view_as(x)
            ).clamp_(low, high)
        below, above = (x - low).flatten(1), (high - x).flatten(1)
        return lambda x_adv: (
            x + _onto_l1_ball((x_adv - x).flatten(1), self.eps, below, above).view_as(x)
        ).clamp_(low, high)

    def random_start(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images drawn uniformly from the ball around each `x`, then projected onto the bounds.

        Args:
            x: (batch, channels, height, width).
            generator: source of the noise; None is a fresh one with seed 0. The global random
                state is never used.

        Returns:
            A tensor like `x`.
        """
        return self.start(x, self.noise(len(x), x[0].numel() if len(x) else 0, generator))

    def noise(self, examples: int, pixels: int, generator: torch.Generator | None = None) -> Tensor:
        """Uniform numbers that `start` turns into points of the ball, (examples, pixels + 1).

        They are drawn example after example, so that an example's noise is the same whatever the
        size of the batches in which a data set is attacked.
        """
        generator = generator or torch.Generator().manual_seed(0)
        return torch.rand(examples, pixels + 1, generator=generator, device=generator.device)

    def start(self, x: Tensor, noise: Tensor) -> Tensor:
        """Images of the ball around each `x`, uniform when `noise` is.

        The direction comes from each pixel's own number by an inverse distribution function
        (Gaussian for l2, Laplace for l1), the distance is eps · u^(1 / pixels).

        Args:
            x: (batch, channels, height, width).
            noise: (batch, pixels + 1) in [0, 1); the last column gives the distance.
        """
        noise = noise.to(x)
        symmetric = 2 * noise[:, :-1] - 1
        if self.norm == "linf":
            return self.project(x + self.eps * symmetric.view_as(x), x)
        symmetric = symmetric.clamp(-1 + 1e-7, 1 - 1e-7)
        if self.norm == "l2":
            direction, order = torch.erfinv(symmetric), 2
        else:
            direction, order = -symmetric.sign() * torch.log1p(-symmetric.abs()), 1
        length = _norm(direction, order)
        distance = self.eps * noise[:, -1:] ** (1 / max(direction.shape[1], 1))
        return self.project(x + (direction * (distance / length)).view_as(x), x)

    def ascent(self, gradient: Tensor, x_adv: Tensor | None = None) -> Tensor:
        """Direction of unit norm in which the loss rises fastest, per image.

        linf: sign(g). l2: g / ‖g‖₂. l1: equal steps on the 1 % of the pixels with the largest
        |g| (SLIDE, Tramèr & Boneh, "Adversarial training and robustness for multiple
        perturbations", 2019, section 4), without the pixels that already stand at the bound to
        which g pushes them, as in the box-aware step of APGD-L1 (Croce & Hein, "Mind the box",
        2021, section 3).

        Args:
            gradient: (batch, channels, height, width).
            x_adv: where the gradient was taken, for the bounds of l1; None passes nothing over.

        Returns:
            A tensor like `gradient`; 0 where an image's gradient is 0.
        """
        if self.norm == "linf":
            return gradient.sign()
        flat = gradient.flatten(1)
        if self.norm == "l2":
            return (flat / _norm(flat, 2)).view_as(gradient)
        if x_adv is not None:
            low, high = self.bounds
            current = x_adv.flatten(1)
            stuck = ((flat > 0) & (current >= high)) | ((flat < 0) & (current <= low))
            flat = flat.masked_fill(stuck, 0)
        count = math.ceil(SPARSITY * flat.shape[1])
        largest = flat.abs().topk(count, dim=1).indices
        moved = torch.zeros_like(flat).scatter_(1, largest, flat.gather(1, largest).sign())
        return (moved / moved.abs().sum(1, keepdim=True).clamp(min=1)).view_as(gradient)

    def distance(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """Norm of each image's perturbation, (batch,)."""
        delta = (x_adv - x).flatten(1)
        if self.norm == "linf":
            return delta.abs().amax(1) if delta.shape[1] else delta.sum(1)
        order = 2 if self.norm == "l2" else 1
        norm: Tensor = torch.linalg.vector_norm(delta, ord=order, dim=1, dtype=torch.float64)
        return norm.to(x.dtype)

    def audit(self, x_adv: Tensor, x: Tensor) -> None:
        """Check that images obey the threat, within `TOLERANCE`.

        Raises:
            OutsideThreatError: when one lies outside the ball or the bounds, or is not a number.
        """
        if not x.numel():
            return
        low, high = self.bounds
        slack = TOLERANCE * (high - low)
        smallest, largest = (value.item() for value in torch.aminmax(x_adv))
        if not (low - slack <= smallest and largest <= high + slack):
            raise OutsideThreatError(
                f"attacked pixels lie in [{smallest}, {largest}], outside [{low}, {high}]"
            )
        farthest = self.distance(x_adv, x).max().item()
        if not farthest <= self.eps + self._forgiven(slack, x[0].numel()):
            raise OutsideThreatError(
                f"an attacked image lies {farthest} from its original in {self.norm}, "
                f"more than eps={self.eps}"
            )

    def check_images(self, x: Tensor) -> None:
        """Check that images can be attacked.

        Raises:
            ValueError: when they are not a batch of floating images within the bounds; the text
                names the cure.
        """
        low, high = self.bounds
        if x.dim() != 4:
            raise ValueError(
                f"images have shape {tuple(x.shape)}; allowed is (batch, channels, height, width)"
            )
        if not x.is_floating_point():
            raise ValueError(f"images are {x.dtype}; allowed are floats, such as x.float() / 255")
        if not x.numel():
            return
        smallest, largest = (value.item() for value in torch.aminmax(x))
        if not (low <= smallest and largest <= high):
            raise ValueError(
                f"pixels lie in [{smallest}, {largest}]; allowed is [{low}, {high}]: scale the "
                "images (x / 255) and make normalisation the model's first layer"
            )

    def _forgiven(self, slack: float, pixels: int) -> float:
        """Norm of a vector whose entries are all `slack`."""
        return slack * float(pixels ** {"linf": 0.0, "l2": 0.5, "l1": 1.0}[self.norm])

    def _checked_radius(self, eps: float | str) -> float:
        radius = read_length("eps", eps)
        width = self.bounds[1] - self.bounds[0]
        if self.norm == "linf" and radius > width:
            raise ValueError(
                f"eps={eps!r} exceeds the range of pixels, {width}: give it in their units, "
                "such as '8/255'"
            )
        return radius


def read_length(name: str, value: float | str) -> float:
    """Read a length in units of pixels: a number, or text such as "8/255".

    Raises:
        ValueError: when it is neither, negative or not finite; the text calls it by its name.
    """
    allowed = "a number of at least 0 or a fraction of two numbers, such as '8/255'"
    try:
        length = float(Fraction(value.replace(" ", "")) if isinstance(value, str) else value)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{name}={value!r} cannot be read; allowed is {allowed}") from error
    if not 0 <= length < math.inf:
        raise ValueError(f"{name}={value!r} is impossible; allowed is {allowed}")
    return length


def _checked_bounds(bounds: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = (float(bound) for bound in bounds)
    except (TypeError, ValueError) as error:
        raise ValueError(f"bounds={bounds!r}; allowed are two numbers, (low, high)") from error
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"bounds={bounds!r}; allowed are finite (low, high) with low < high")
    return low, high


def _norm(vectors: Tensor, order: int) -> Tensor:
    """Norms of the rows, (rows, 1), never 0, so that one can divide by them."""
    norm: Tensor = torch.linalg.vector_norm(vectors, ord=order, dim=1, keepdim=True)
    return norm.clamp(min=torch.finfo(norm.dtype).tiny)


def _onto_l2_ball(delta: Tensor, radius: float) -> Tensor:
    return delta * (radius / _norm(delta, 2)).clamp(max=1)


def _onto_l1_ball(delta: Tensor, radius: float, below: Tensor, above: Tensor) -> Tensor:
    """The nearest of Σ|d| ≤ radius, -below ≤ d ≤ above: |d| = min(max(|δ| - λ, 0), room).

    The sum falls in λ by pieces that end at |δ| and at |δ| - room (Croce & Hein, "Mind the box",
    2021, proposition 3.1; without bounds Duchi et al., "Efficient projections onto the l1-ball",
    2008). Sorted by falling λ, it is known at each end from running sums.
    """
    magnitude = delta.abs().double()  # λ far from 0 would round by more than the tolerance
    room = torch.where(delta > 0, above, below).double()
    ends = torch.cat([magnitude, (magnitude - room).clamp(min=0)], dim=1)
    ends, order = ends.sort(dim=1, descending=True)
    slopes = torch.where(order < delta.shape[1], 1.0, -1.0).to(ends.dtype)
    sums, slopes = (slopes * ends).cumsum(1), slopes.cumsum(1)
    last = (sums - slopes * ends < radius).sum(1, keepdim=True).clamp(min=1) - 1
    threshold = (sums.gather(1, last) - radius) / slopes.gather(1, last).clamp(min=1)
    kept = torch.minimum((magnitude - threshold.clamp(min=0)).clamp(min=0), room)
    return delta.sign() * kept.to(delta.dtype)

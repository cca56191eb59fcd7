"""Spectral features: smooth functions on the graph of which images are near which."""

import math

import torch
from torch import Tensor, nn

from advprune.choices import check_count


class SpectralFeatures(nn.Module):
    """Eigenvectors of the Laplacian of the graph that joins images within a distance T.

    L = D - A with A_ij = 1 where ‖xᵢ - xⱼ‖₂ ≤ T; the features of training image i are √n times the
    i-th entries of the eigenvectors of the 2nd to (k+1)-th smallest eigenvalue λ. A new image joins
    the graph, and takes the value that L v = λ v demands of it, the other entries held:
    f(x) = Σ_{j ~ x} fⱼ / (deg(x) - λ), or that of the nearest image where it has no neighbour. Its
    gradient is 0; `soft` stands in for it.

    Source: Garg, Sharan, Zhang & Valiant, "A spectral view of adversarially robust features"
    (2018).

    Args:
        images: training images, (n, ...).
        distance: T.
        count: k, below n.

    Raises:
        ValueError: when a setting is impossible, or the graph is not connected, so that an
            eigenvector only tells parts of it apart.
    """

    points: Tensor
    features: Tensor
    eigenvalues: Tensor

    def __init__(self, images: Tensor, distance: float, count: int) -> None:
        super().__init__()
        check_count("count", count)
        if count >= len(images):
            raise ValueError(f"count={count} of {len(images)} images; allowed are fewer")
        points = images.flatten(1)
        values, vectors = torch.linalg.eigh(laplacian(torch.cdist(points, points) <= distance))
        if values[1] < 1e-6:
            raise ValueError(f"distance={distance} leaves the graph in parts; take a larger one")
        self.distance = distance
        self.register_buffer("points", points)
        self.register_buffer("eigenvalues", values[1 : count + 1].float())
        self.register_buffer("features", math.sqrt(len(points)) * vectors[:, 1 : count + 1].float())

    def forward(self, x: Tensor) -> Tensor:
        """Images (batch, ...) → features (batch, k)."""
        far = torch.cdist(x.flatten(1), self.points)
        joined = (self.distance - far).sign().clamp(min=0)
        alone = torch.zeros_like(far).scatter(1, far.argmin(1, keepdim=True), 1.0)
        return self._extended(torch.where(joined.any(1, keepdim=True), joined, alone))

    def soft(self, x: Tensor) -> Tensor:
        """The same with a slope of a twentieth of T in place of the edge's step."""
        far = torch.cdist(x.flatten(1), self.points)
        return self._extended(torch.sigmoid((self.distance - far) * 20 / self.distance) + 1e-12)

    def _extended(self, weights: Tensor) -> Tensor:
        degree = weights.sum(1, keepdim=True)
        rest = torch.where(degree > self.eigenvalues, degree - self.eigenvalues, degree)
        return weights @ self.features / rest


def laplacian(joined: Tensor) -> Tensor:
    """D - A of a graph, (n, n) float64; what joins a point to itself does not count."""
    adjacency = joined.double().fill_diagonal_(0)
    return torch.diag(adjacency.sum(1)) - adjacency


def stability(points: Tensor, x: Tensor, distance: float, radius: float) -> float:
    """Bound on how far moving x by `radius` moves the graph's second eigenvector, in [0, √2].

    ‖v - v'‖ ≤ 2 √2 √((λ₂⁺ - λ₂⁻) / (λ₃⁻ - λ₂⁻)), up to the sign, v and v' being the unit
    eigenvectors of any two graphs between that of certain edges (-, those of x within T - radius)
    and that of possible ones (+, within T + radius). For v'L⁻v' ≤ λ₂⁺, of which the part outside
    v₂⁻ counts λ₃⁻ at least. It bounds the change of x's own feature, an entry of √n v, by √n times
    as much.

    Source: Garg et al. (2018), for one image that moves among others that stay.

    Args:
        points: training images, (n, ...).
        x: the image, (1, ...).
        distance: T.
        radius: largest ‖x' - x‖₂.
    """
    joined = torch.cat([points, x]).flatten(1)
    far = torch.cdist(joined, joined)
    low, high = (
        torch.linalg.eigvalsh(laplacian(_edges(far, distance, r))) for r in (-radius, radius)
    )
    gap, moved = low[2] - low[1], high[1] - low[1]
    if gap <= 0:
        return math.sqrt(2)
    return min(math.sqrt(2), 2 * math.sqrt(2 * max(0.0, float(moved / gap))))


def _edges(far: Tensor, distance: float, more: float) -> Tensor:
    """Who is within the distance; for the last point within it and some more."""
    limit = torch.full_like(far, distance)
    limit[-1] = limit[:, -1] = distance + more
    return far <= limit

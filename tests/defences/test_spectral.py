import math

import pytest
import torch

from advprune.defences import SpectralFeatures, stability
from advprune.defences.spectral import laplacian

PATH = torch.tensor([[0.0], [1.0], [2.0]])


def test_the_features_of_a_path_by_hand() -> None:
    found = SpectralFeatures(PATH, 1.1, 2)  # eigenvalues 0, 1, 3
    torch.testing.assert_close(found.eigenvalues, torch.tensor([1.0, 3.0]))
    slope = found.features[:, 0] * found.features[0, 0].sign()
    torch.testing.assert_close(slope, torch.tensor([1.0, 0.0, -1.0]) * math.sqrt(3 / 2))
    bend = found.features[:, 1] * found.features[0, 1].sign()
    torch.testing.assert_close(bend, torch.tensor([1.0, -2.0, 1.0]) * math.sqrt(1 / 2))


def test_a_new_image_takes_what_the_eigenvalue_demands() -> None:
    found = SpectralFeatures(PATH, 1.1, 1)
    first, middle, _ = found.features[:, 0].tolist()
    torch.testing.assert_close(
        found(torch.tensor([[0.5]]))[0, 0].item(), (first + middle) / (2 - 1)
    )
    assert found(torch.tensor([[-3.0]]))[0, 0].item() == pytest.approx(first)
    x = torch.tensor([[0.5]], requires_grad=True)
    assert not torch.autograd.grad(found(x).sum(), x)[0].any()
    assert torch.autograd.grad(found.soft(x).sum(), x)[0].any()


def test_graphs_in_parts_and_too_many_features_are_refused() -> None:
    with pytest.raises(ValueError, match=r"distance=0.5 leaves the graph in parts"):
        SpectralFeatures(PATH, 0.5, 1)
    with pytest.raises(ValueError, match="count=3 of 3 images"):
        SpectralFeatures(PATH, 1.1, 3)


def test_the_bound_holds_and_is_nothing_where_no_edge_can_change() -> None:
    assert stability(PATH, torch.tensor([[1.0]]), 1.5, 0.4) == 0.0
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(30, 2, generator=generator)
    x, radius = torch.tensor([[0.5, 0.5]]), 0.02
    bound = stability(points, x, 0.5, radius)
    assert 0 < bound < math.sqrt(2)

    def second(image: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([points, image])
        vectors: torch.Tensor = torch.linalg.eigh(laplacian(torch.cdist(joined, joined) <= 0.5))[1]
        return vectors[:, 1]

    v = second(x)
    for angle in torch.linspace(0, 6, 12):
        moved = second(x + radius * torch.stack([angle.cos(), angle.sin()]))
        assert min((v - moved).norm(), (v + moved).norm()) <= bound

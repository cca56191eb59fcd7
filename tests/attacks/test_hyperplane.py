import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from advprune.attacks.hyperplane import onto_hyperplane

BOX = (0.0, 1.0)
ORDERS = {"linf": math.inf, "l2": 2.0, "l1": 1.0}


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        ("linf", (0.2, -0.2, 0.2)),  # 3 · .2 + 1 · .2 + 1 · .2
        ("l2", (3 / 11, -1 / 11, 1 / 11)),
        ("l1", (1 / 3, 0.0, 0.0)),
    ],
)
def test_the_shortest_way_is_known_where_there_is_room(
    norm: str, expected: tuple[float, ...]
) -> None:
    moved = onto_hyperplane(
        row(0.5, 0.5, 0.5), row(3, -1, 1), torch.tensor([1.0]).double(), norm, BOX
    )
    torch.testing.assert_close(moved, row(*expected))


@pytest.mark.parametrize(
    ("norm", "expected"),
    [("linf", (0.1, -0.35, 0.35)), ("l2", (0.1, -0.35, 0.35)), ("l1", (0.1, -0.5, 0.2))],
)
def test_others_go_farther_where_one_meets_its_bound(
    norm: str, expected: tuple[float, ...]
) -> None:
    moved = onto_hyperplane(
        row(0.9, 0.5, 0.5), row(3, -1, 1), torch.tensor([1.0]).double(), norm, BOX
    )
    torch.testing.assert_close(moved, row(*expected))


@pytest.mark.parametrize("norm", ORDERS)
def test_what_cannot_be_reached_is_approached_as_far_as_possible(norm: str) -> None:
    moved = onto_hyperplane(
        row(0.9, 0.2, 0.5), row(1, -1, 0), torch.tensor([9.0]).double(), norm, BOX
    )
    torch.testing.assert_close(moved, row(0.1, -0.2, 0))
    back = onto_hyperplane(
        row(0.9, 0.2, 0.5), row(1, -1, 0), torch.tensor([-9.0]).double(), norm, BOX
    )
    torch.testing.assert_close(back, row(-0.9, 0.8, 0))


@settings(max_examples=30, deadline=None)
@given(norm=st.sampled_from(sorted(ORDERS)), pixels=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_it_lies_on_the_hyperplane_and_no_other_point_is_nearer(
    norm: str, pixels: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, normal, other = torch.rand(3, 8, pixels, generator=generator, dtype=torch.float64)
    normal = (4 * normal - 2).round(decimals=1)
    gap = (normal * (other - x)).sum(1)  # so that `other` lies on the hyperplane
    moved = onto_hyperplane(x, normal, gap, norm, BOX)
    torch.testing.assert_close((normal * moved).sum(1), gap, rtol=0, atol=1e-9)
    assert ((x + moved) >= -1e-12).all()
    assert ((x + moved) <= 1 + 1e-12).all()
    length, alternative = (
        torch.linalg.vector_norm(way, ord=ORDERS[norm], dim=1) for way in (moved, other - x)
    )
    assert (length <= alternative + 1e-9).all()

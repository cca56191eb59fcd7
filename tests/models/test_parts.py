import pytest
import torch
from torch import nn

from advprune.models.parts import Normalize, check_counts, check_widths, first_layer, scaled


def test_normalize_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    layer = Normalize(mean=(0.5, 0.25), std=(0.5, 0.25))
    x = torch.tensor([1.0, 0.75]).view(1, 2, 1, 1)
    assert layer(x).flatten().tolist() == [1.0, 2.0]


def test_normalize_is_saved_but_not_trained() -> None:
    layer = Normalize((0.5,), (0.5,))
    assert set(layer.state_dict()) == {"mean", "std"}
    assert not list(layer.parameters())


@pytest.mark.parametrize(
    ("mean", "std"),
    [((0.5,), (1.0, 1.0)), ((), ()), ((0.5,), (0.0,)), ((float("nan"),), (1.0,))],
)
def test_normalize_refuses(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="Normalize takes"):
        Normalize(mean, std)


def test_none_is_no_layer() -> None:
    assert isinstance(first_layer("none", 3), nn.Identity)


def test_a_mean_and_a_deviation_are_a_layer() -> None:
    assert isinstance(first_layer(([0.5], [0.2]), 1), Normalize)


@pytest.mark.parametrize("given", ["imagenet", [[0.5]], ((0.5,), (0.2,))])
def test_any_other_normalisation_is_refused(given: str | list[list[float]]) -> None:
    with pytest.raises(ValueError, match="normalize must"):
        first_layer(given, 3)


@pytest.mark.parametrize("counts", [{"classes": 1}, {"in_channels": 0}, {"classes": True}])
def test_counts_that_are_too_small_are_refused(counts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(counts))}="):
        check_counts(**counts)


@pytest.mark.parametrize("widths", [(1, 2), (1, 2, 0)])
def test_widths_must_be_three_and_positive(widths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="widths"):
        check_widths(widths, 3)


def test_scaling_rounds_and_keeps_one_channel() -> None:
    assert [scaled(64, 0.5), scaled(64, 0.001), scaled(64, 1.0)] == [32, 1, 64]


@pytest.mark.parametrize("width", [0.0, -1.0, float("inf"), float("nan")])
def test_a_width_that_is_no_positive_factor_is_refused(width: float) -> None:
    with pytest.raises(ValueError, match="width must be"):
        scaled(64, width)

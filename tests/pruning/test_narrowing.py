import pytest
import torch
from torch import Tensor, nn

from advprune.evaluation import cost
from advprune.models import build
from advprune.pruning import narrowed


def test_the_network_has_the_units_it_is_told_to_have(images: Tensor) -> None:
    small = narrowed(build("small_cnn", image_size=4), {"conv1": [3, 7], "f1": [0]}, images)
    shapes = [tuple(small.get_parameter(f"{n}.weight").shape[:2]) for n in ("conv1", "conv2", "f1")]
    assert shapes == [(2, 1), (64, 2), (1, 256)]
    built = build("small_cnn", image_size=4, widths=[2, 64, 1])
    assert cost(small, images) == cost(built, images)


def test_first_weights_are_as_torch_draws_them_for_that_width(images: Tensor) -> None:
    """Uniform within 1/√inputs, biases too: the largest of many comes close to that."""
    kept = {"conv1": list(range(8)), "conv2": list(range(16))}
    small = narrowed(build("small_cnn", image_size=4), kept, images)
    built = build("small_cnn", image_size=4, widths=[8, 16, 128])
    for name, value in built.named_parameters():
        found = small.get_parameter(name).detach().abs()
        assert found.shape == value.shape
        if value.numel() > 100:
            assert float(found.max()) == pytest.approx(float(value.detach().abs().max()), rel=0.05)


def test_inputs_of_a_layer_may_be_chosen_one_by_one(images: Tensor) -> None:
    whole = build("small_cnn", image_size=4, widths=[2, 3, 5])
    small = narrowed(whole, {"conv2": [0, 2], "f1.inputs": [0, 1, 9]}, images)
    assert small.get_parameter("f1.weight").shape == (5, 3)
    ratio = (12 / 3) ** 0.5
    expected = ratio * whole.get_parameter("f1.weight")[:, [0, 1, 9]]
    torch.testing.assert_close(small.get_parameter("f1.weight"), expected)


@pytest.mark.parametrize(
    ("kept", "complaint"),
    [
        ({"conv1": []}, r"kept\['conv1'\]=\[\]; allowed are some of 0 to 31"),
        ({"conv1": [32]}, r"kept\['conv1'\]=\[32\]; allowed are some of 0 to 31"),
        ({"conv9": [0]}, "Unknown group of units 'conv9'"),
        ({"conv1.inputs": [0]}, "per_position='conv1'"),
    ],
)
def test_what_is_not_there_is_refused(
    kept: dict[str, list[int]], complaint: str, images: Tensor
) -> None:
    with pytest.raises(ValueError, match=complaint):
        narrowed(build("small_cnn", image_size=4), kept, images)


def test_the_given_network_stays_whole(images: Tensor) -> None:
    whole: nn.Module = build("small_cnn", image_size=4)
    before = [value.clone() for value in whole.parameters()]
    narrowed(whole, {"conv1": [0]}, images)
    assert all(torch.equal(a, b) for a, b in zip(before, whole.parameters(), strict=True))

import pytest
import torch
from torch import nn

from advprune.models import VGG16, Normalize


@pytest.mark.parametrize(("classes", "parameters"), [(10, 14_991_946), (100, 15_038_116)])
def test_it_has_the_papers_number_of_parameters(classes: int, parameters: int) -> None:
    with torch.device("meta"):
        model = VGG16(classes=classes)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_dropout_or_a_pool_follows_each_block_as_listed() -> None:
    model = VGG16(width=1 / 64)
    between = [
        layer.p if isinstance(layer, nn.Dropout) else "pool"
        for layer in model.features
        if isinstance(layer, nn.Dropout | nn.MaxPool2d)
    ]
    assert between == [
        *(0.3, "pool", 0.4, "pool"),
        *(0.4, 0.4, "pool") * 3,
    ]


def test_each_block_is_convolution_batch_norm_relu() -> None:
    layers = list(VGG16(width=1 / 64).features)
    assert [type(layer).__name__ for layer in layers[:4]] == [
        "Conv2d",
        "BatchNorm2d",
        "ReLU",
        "Dropout",
    ]
    channels = [layer.out_channels for layer in layers if isinstance(layer, nn.Conv2d)]
    assert channels == [1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 8]


def test_batch_norm_has_the_codes_momentum_and_eps() -> None:
    norms = [m for m in VGG16(width=1 / 64).modules() if isinstance(m, nn.BatchNorm1d)]
    norms2d = [m for m in VGG16(width=1 / 64).modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(norm.momentum, norm.eps) for norm in (*norms, *norms2d)} == {(0.01, 1e-3)}
    assert (len(norms), len(norms2d)) == (1, 13)


def test_weights_and_biases_start_within_glorots_bounds() -> None:
    first = VGG16(width=0.25).features[0]
    assert isinstance(first, nn.Conv2d)
    assert first.bias is not None
    weight_bound, bias_bound = (6 / (9 * 3 + 9 * 16)) ** 0.5, (6 / 32) ** 0.5
    assert 0.9 * weight_bound < first.weight.abs().max() <= weight_bound
    assert 0.5 * bias_bound < first.bias.abs().max() <= bias_bound


def test_the_heads_dropout_can_be_left_out() -> None:
    head = VGG16(width=1 / 64, head_dropout=0.0).head
    assert [layer.p for layer in head if isinstance(layer, nn.Dropout)] == [0.0, 0.0]


def test_a_head_dropout_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"head_dropout must be in \[0, 1\), got 1.0"):
        VGG16(head_dropout=1.0)


def test_normalisation_comes_first_where_asked() -> None:
    model = VGG16(width=1 / 64, normalize=([0.5] * 3, [0.2] * 3))
    assert isinstance(model.normalize, Normalize)
    assert next(name for name, _ in model.named_children()) == "normalize"

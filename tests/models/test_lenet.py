import torch
from torch.nn import functional

from advprune.models import LeNet5Caffe


def test_it_has_the_papers_number_of_parameters() -> None:
    assert sum(parameter.numel() for parameter in LeNet5Caffe().parameters()) == 431_080


def test_its_layers_are_named_as_others_rely_on() -> None:
    weighted = [name for name, layer in LeNet5Caffe().named_children() if list(layer.parameters())]
    assert weighted == ["conv1", "conv2", "f1", "f2"]


def test_it_computes_the_listed_layers_over_800_positions() -> None:
    model, x = LeNet5Caffe(), torch.rand(2, 1, 28, 28)
    h1 = functional.max_pool2d(functional.conv2d(x, model.conv1.weight, model.conv1.bias), 2)
    h2 = functional.max_pool2d(functional.relu(model.conv2(functional.relu(h1))), 2)
    assert h2.flatten(1).shape == (2, 800)
    logits = model.f2(functional.relu(model.f1(h2.flatten(1))))
    torch.testing.assert_close(model(x), logits)


def test_widths_and_channels_are_free() -> None:
    model = LeNet5Caffe(in_channels=3, classes=4, widths=(4, 23, 71))
    assert model(torch.rand(1, 3, 28, 28)).shape == (1, 4)
    assert model.f1.weight.shape == (71, 23 * 16)

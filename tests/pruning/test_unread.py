import torch
from torch import Tensor, nn

from advprune.pruning import without_unread


def net() -> nn.Sequential:
    """Images of 2 by 2 to 3 channels, to 4 units, to 2 classes."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2)
    ).eval()


def images() -> Tensor:
    return torch.rand(5, 1, 2, 2)


def test_units_that_nothing_reads_are_cut_without_a_difference() -> None:
    model, x = net(), images()
    model.get_parameter("3.weight").data[:, 4:8] = 0  # the second channel, at all its positions
    model.get_parameter("5.weight").data[:, 0] = 0
    small = without_unread(model, x)
    torch.testing.assert_close(small(x), model(x))
    assert small.get_parameter("0.weight").shape[0] == 2
    assert small.get_parameter("3.weight").shape == (3, 8)


def test_what_only_a_dead_unit_reads_is_dead_too() -> None:
    model, x = net(), images()
    model.get_parameter("3.weight").data[1:, 4:8] = 0  # read by unit 0 alone
    model.get_parameter("5.weight").data[:, 0] = 0
    small = without_unread(model, x)
    torch.testing.assert_close(small(x), model(x))
    assert small.get_parameter("3.weight").shape == (3, 8)


def test_single_zeros_leave_the_network_as_it_is() -> None:
    model = net()
    assert without_unread(model, images()) is model
    model.get_parameter("3.weight").data[0, 4:8] = 0
    assert without_unread(model, images()) is model


def test_a_unit_that_is_made_from_nothing_is_still_read() -> None:
    model, x = net(), images()
    model.get_parameter("0.weight").data[1] = 0  # its bias remains
    assert without_unread(model, x) is model

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.attacks.fast_gradient import fast_input_gradients


def gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Output, and gradient of a sum of its entries with weights that tell them apart."""
    x = x.detach().requires_grad_()
    out = function(x)
    weights = torch.linspace(1, 2, out.numel(), dtype=out.dtype).view_as(out)
    return out.detach(), torch.autograd.grad((out * weights).sum(), x)[0]


def replaced(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def fast(x: Tensor) -> Tensor:
        with fast_input_gradients():
            return function(x)

    return fast


def took(function: Callable[[Tensor], Tensor], x: Tensor) -> str:
    """Name of the last operator that autograd recorded."""
    return str(replaced(function)(x.requires_grad_()).grad_fn)


def _pooling(block: nn.Sequential) -> int:
    return next(index for index, part in enumerate(block) if isinstance(part, nn.MaxPool2d))


@pytest.mark.parametrize("padding", [0, 2, (1, 2)])
@pytest.mark.parametrize("kernel", [1, 3, (5, 2)])
@pytest.mark.parametrize("shape", [(3, 1, 9, 7), (1, 1, 6, 6)])
def test_convolution_of_one_channel_has_the_frameworks_gradient(
    padding: int | tuple[int, int], kernel: int | tuple[int, int], shape: tuple[int, ...]
) -> None:
    conv = nn.Conv2d(1, 4, kernel, padding=padding).double()
    x = torch.rand(shape, dtype=torch.float64)
    assert "OneChannelConv" in took(conv, x)
    torch.testing.assert_close(gradient(replaced(conv), x), gradient(conv, x))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(1, 4, 3, stride=2),
        nn.Conv2d(1, 4, 3, dilation=2),
        nn.Conv2d(1, 4, 3, padding="same"),
        nn.Conv2d(3, 4, 3),
        nn.Conv2d(3, 3, 3, groups=3),
    ],
    ids=str,
)
def test_other_convolutions_stay_the_frameworks(conv: nn.Conv2d) -> None:
    x = torch.rand(2, conv.in_channels, 8, 8)
    assert "OneChannelConv" not in took(conv, x)
    assert torch.equal(gradient(replaced(conv), x)[1], gradient(conv, x)[1])


@pytest.mark.parametrize("levels", [2, 3, 1000])
@pytest.mark.parametrize(
    ("channels", "kernel", "padding"), [(1, 5, 2), (1, 3, 1), (3, 3, (1, 0)), (2, 1, 0)]
)
def test_convolution_relu_and_pooling_have_the_frameworks_gradient_at_ties_too(
    levels: int, channels: int, kernel: int, padding: int | tuple[int, int]
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, 4, kernel, padding=padding).double()
    height = 8 + kernel - 1 - 2 * (padding if isinstance(padding, int) else padding[0])
    width = 6 + kernel - 1 - 2 * (padding if isinstance(padding, int) else padding[1])
    x = (torch.rand(4, channels, height, width).double() * levels).floor()
    for block in (
        nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(conv, nn.MaxPool2d((2, 2), stride=(2, 2)), nn.ReLU()),
        nn.Sequential(conv, nn.MaxPool2d(2)),
    ):
        assert "ConvReluPool" in took(block[: 1 + _pooling(block)], x)
        torch.testing.assert_close(gradient(replaced(block), x), gradient(block, x))


@pytest.mark.parametrize("padding", [0, 2])
def test_without_gradient_the_block_answers_the_same(padding: int) -> None:
    block = nn.Sequential(nn.Conv2d(2, 4, 5, padding=padding), nn.ReLU(), nn.MaxPool2d(2)).double()
    x = torch.rand(3, 2, 10, 12, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(replaced(block)(x), block(x))


def test_blocks_one_after_another_have_the_frameworks_gradient() -> None:
    torch.manual_seed(0)
    block = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 2, 3), nn.ReLU(),
        nn.MaxPool2d(2),
    ).double()  # fmt: skip
    x = torch.rand(3, 1, 14, 10, dtype=torch.float64)
    torch.testing.assert_close(gradient(replaced(block), x), gradient(block, x))
    assert gradient(replaced(block), x)[1].is_contiguous()


@pytest.mark.parametrize(
    ("pool", "side"),
    [
        (nn.MaxPool2d(3), 8),
        (nn.MaxPool2d(2, stride=1), 8),
        (nn.MaxPool2d(2, padding=1), 8),
        (nn.MaxPool2d(2, ceil_mode=True), 8),
        (nn.MaxPool2d(2), 9),
        (nn.AvgPool2d(2), 8),
    ],
    ids=str,
)
def test_other_pooling_stays_the_frameworks(pool: nn.Module, side: int) -> None:
    block = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), pool)
    x = torch.rand(2, 1, side, side)
    assert "ConvReluPool" not in took(block, x)
    torch.testing.assert_close(gradient(replaced(block), x), gradient(block, x))


def test_a_batch_of_none_comes_back_empty() -> None:
    block = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
    fast, gradients = gradient(replaced(block), torch.rand(0, 1, 8, 8))
    assert fast.shape == (0, 4, 3, 3)
    assert gradients.shape == (0, 1, 8, 8)


def test_even_kernels_stay_the_frameworks() -> None:
    block = nn.Sequential(nn.Conv2d(1, 4, 2), nn.MaxPool2d(2))
    x = torch.rand(2, 1, 9, 9)
    assert "ConvReluPool" not in took(block, x)
    torch.testing.assert_close(gradient(replaced(block), x), gradient(block, x))


def test_arguments_by_name_and_exported_operators_work_alike() -> None:
    x, weight = torch.rand(2, 1, 8, 8), torch.rand(3, 1, 3, 3)
    for function in (
        lambda x: functional.max_pool2d(functional.conv2d(input=x, weight=weight), 2),
        lambda x: torch.max_pool2d(torch.conv2d(x, weight=weight, padding=1), 2),
        lambda x: torch.ops.aten.max_pool2d.default(
            torch.ops.aten.conv2d.default(x, weight), [2, 2], [2, 2]
        ),
    ):
        torch.testing.assert_close(gradient(replaced(function), x), gradient(function, x))


def test_a_whole_network_has_the_frameworks_gradient_in_float32() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 10),
    )  # fmt: skip
    x = torch.rand(5, 1, 28, 28).round()
    fast, eager = gradient(replaced(network), x)[1], gradient(network, x)[1]
    assert (fast - eager).abs().max() <= 1e-6 * eager.abs().max()
    assert all(parameter.grad is None for parameter in network.parameters())


def test_views_of_convolutions_work_as_before() -> None:
    conv = nn.Conv2d(16, 4, 3)
    x = torch.rand(2, 16, 6, 6)
    for function in (
        lambda x: conv(x).view(2, -1),
        lambda x: conv(x).view((2, 4, 16)),
        lambda x: torch.ops.aten.view.default(conv(x), [2, 64]),
        lambda x: conv(x).view(dtype=torch.int32).view(torch.float32) + 0 * conv(x),
    ):
        torch.testing.assert_close(gradient(replaced(function), x), gradient(function, x))
    assert conv.weight.is_contiguous()


def test_bfloat16_gradients_come_back_in_float32() -> None:
    conv = nn.Conv2d(1, 4, 3)
    x = torch.rand(2, 1, 8, 8)
    eager = gradient(conv, x)[1]
    with torch.autocast("cpu", torch.bfloat16):
        fast = gradient(replaced(conv), x)[1]
    assert fast.dtype == torch.float32
    assert (fast - eager).abs().max() <= 0.02 * eager.abs().max()


def test_nothing_is_replaced_outside() -> None:
    conv = nn.Conv2d(1, 2, 3)
    with fast_input_gradients():
        pass
    assert "ConvolutionBackward" in str(conv(torch.rand(1, 1, 4, 4)).grad_fn)

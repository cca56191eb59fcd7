from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import advprune as ap
from advprune.shipping import Shipped
from advprune.shipping.openvino_graph import OPERATORS, OpenVinoNetwork

pytest.importorskip("openvino")


class Mixed(nn.Module):
    """Padding, a depthwise convolution, both poolings, a gate on channels, a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.squeeze = nn.Conv2d(8, 8, 1)
        self.out = nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.hardswish(self.stem(x - 0.5)), 2)
        h = functional.gelu(self.depthwise(x))
        h = x + h * functional.hardsigmoid(self.squeeze(h.mean((2, 3), keepdim=True)))
        logits: Tensor = self.out(functional.avg_pool2d(h, 2).flatten(1))
        return logits


IMAGES = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """A network, and the folder of its files `float.xml` and `int8.xml`."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Mixed().eval()
    folder = tmp_path_factory.mktemp("openvino")
    ap.export(model, folder / "float.xml", IMAGES[:64])
    ap.export(model, folder / "int8.xml", IMAGES[:64], calibration=IMAGES[:64])
    return model, folder


@pytest.mark.parametrize("name", ["float.xml", "int8.xml"])
def test_the_twin_of_a_file_answers_as_it_does(name: str, trained: tuple[nn.Module, Path]) -> None:
    folder = trained[1]
    with torch.no_grad():
        found, expected = OpenVinoNetwork(folder / name)(IMAGES), Shipped(folder / name)(IMAGES)
        off = (found - expected).abs().max() / expected.abs().max()
        assert off < (0.02 if name == "int8.xml" else 1e-5)
        assert (found.argmax(1) == expected.argmax(1)).float().mean() >= 0.99


def test_gradients_are_those_of_the_network_and_int8_ones_point_the_same_way(
    trained: tuple[nn.Module, Path],
) -> None:
    model, folder = trained
    x = IMAGES[:32].clone().requires_grad_()
    own, int8, torchs = (
        torch.autograd.grad(network(x)[:, 1].sum(), x)[0].flatten(1)
        for network in (
            OpenVinoNetwork(folder / "float.xml"),
            OpenVinoNetwork(folder / "int8.xml"),
            model,
        )
    )
    assert torch.allclose(own, torchs, atol=1e-5)
    assert not torch.equal(int8, torchs)
    assert functional.cosine_similarity(int8, torchs).median() > 0.9


def test_rounding_passes_gradients_within_its_range_only() -> None:
    x = torch.tensor([-1.0, 0.24, 0.26, 200.0], requires_grad=True)
    low, high = torch.tensor(0.0), torch.tensor(1.5)
    found = OPERATORS["FakeQuantize"](x, low, high, low, 2 * high, levels=4)
    assert found.tolist() == [0, 0, 1, 3]
    assert torch.autograd.grad(found.sum(), x)[0].tolist() == [0, 2, 2, 0]


def test_indices_count_from_the_end_and_keep_their_shape() -> None:
    x, axis = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor(-1)
    assert OPERATORS["Gather"](x, torch.tensor([[-1], [0]]), axis).tolist() == [
        [[3], [1]],
        [[6], [4]],
    ]

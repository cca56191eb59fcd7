from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import advprune as ap
from advprune.shipping import Shipped
from advprune.shipping.onnx_graph import OPERATORS, OnnxNetwork

onnx = pytest.importorskip("onnx")


def digits_network() -> nn.Module:
    """A small network, trained until it knows most digits."""
    images, labels = ap.data.load("digits").train.tensors()
    torch.manual_seed(0)
    model = ap.models.build("small_cnn", widths=[6, 8, 16])
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(60):
        optimiser.zero_grad()
        torch.autograd.backward(functional.cross_entropy(model(images), labels))
        optimiser.step()
    return model.eval()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """A network, and the folder of its files `float.onnx` and `int8.onnx`."""
    model, folder = digits_network(), tmp_path_factory.mktemp("digits")
    images = ap.data.load("digits").train.tensors()[0]
    ap.export(model, folder / "float.onnx", images[:64])
    ap.export(model, folder / "int8.onnx", images[:64], calibration=images[:256])
    return model, folder


def all_digits() -> Tensor:
    splits = ap.data.load("digits")
    return torch.cat([part.tensors()[0] for part in (splits.train, splits.validation, splits.test)])


@pytest.mark.parametrize("name", ["float.onnx", "int8.onnx"])
def test_the_twin_of_a_file_agrees_with_it_on_999_of_1000_answers(
    name: str, trained: tuple[nn.Module, Path]
) -> None:
    path = trained[1] / name
    images = all_digits()
    noisy = (images + 0.2 * torch.rand_like(images)).clamp(0, 1)
    both = torch.cat([images, noisy])
    with torch.no_grad():
        same = OnnxNetwork(path)(both).argmax(1) == Shipped(path)(both).argmax(1)
    assert same.float().mean() >= 0.999


def test_gradients_of_a_float32_file_are_those_of_the_network(
    trained: tuple[nn.Module, Path],
) -> None:
    model, folder = trained
    x = all_digits()[:8].requires_grad_()
    own, torchs = (
        torch.autograd.grad(network(x)[:, 3].sum(), x)[0]
        for network in (OnnxNetwork(folder / "float.onnx"), model)
    )
    assert torch.allclose(own, torchs, atol=1e-4)


def test_gradients_of_an_int8_file_point_the_same_way(trained: tuple[nn.Module, Path]) -> None:
    model, folder = trained
    x = all_digits()[:64].requires_grad_()
    own, torchs = (
        torch.autograd.grad(network(x)[:, 3].sum(), x)[0].flatten(1)
        for network in (OnnxNetwork(folder / "int8.onnx"), model)
    )
    assert functional.cosine_similarity(own, torchs).median() > 0.9


def test_rounding_passes_gradients_within_the_range_of_its_integers_only() -> None:
    x = torch.tensor([[-1.0, 0.24, 0.26, 200.0]], requires_grad=True)
    scale, zero = torch.tensor(0.5), torch.tensor(3, dtype=torch.uint8)
    whole = OPERATORS["QuantizeLinear"](x, scale, zero)
    assert whole.tolist() == [[1, 3, 4, 255]]
    back = OPERATORS["DequantizeLinear"](whole, scale, zero)
    assert back.tolist() == [[-1, 0, 0.5, 126]]
    assert torch.autograd.grad(back.sum(), x)[0].tolist() == [[1, 1, 1, 0]]


def test_an_unknown_operator_is_named_with_the_cure(tmp_path: Path) -> None:
    helper = onnx.helper
    value = [helper.make_tensor_value_info(name, 1, [1, 4]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Sinh", ["x"], ["y"])], "g", value[:1], value[1:])
    onnx.save(helper.make_model(graph), tmp_path / "net.onnx")
    with pytest.raises(ValueError, match=r"operator Sinh .*twin"):
        OnnxNetwork(tmp_path / "net.onnx")

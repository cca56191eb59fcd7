import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import advprune as ap
from advprune.extras import need
from advprune.models import Normalize
from advprune.shipping import Shipped, exporting
from advprune.shipping.onnx import write as write_onnx

PROBE = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
TRAINING = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """Normalisation, a convolution of 4 channels, pooling, and a linear layer to 3 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Normalize([0.5], [0.25]),
            nn.Conv2d(1, 4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64, 3),
        )
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                nn.init.normal_(parameter, 0, 0.3, torch.Generator().manual_seed(number))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return Net().train()


@pytest.fixture(scope="module")
def folder(net: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of file that the installed packages write, of one network."""
    folder: Path = tmp_path_factory.mktemp("exported")
    facts: dict[str, Any] = {"classes": ["a", "b", "c"], "threat": ap.ThreatModel("linf", 0.1)}
    for name in ("float.onnx", "float.xml", "float.pt2"):
        ap.export(net, folder / name, PROBE, **facts)
    for name in ("int8.onnx", "int8.xml"):
        ap.export(net, folder / name, PROBE, calibration=TRAINING, **facts)
    return folder


@pytest.mark.parametrize("name", ["float.onnx", "float.xml"])
@pytest.mark.parametrize("batch", [1, 7])
def test_a_file_answers_as_the_network_for_any_batch(
    name: str, batch: int, folder: Path, net: nn.Module
) -> None:
    expected = net.eval()(PROBE[:batch])
    assert torch.allclose(Shipped(folder / name)(PROBE[:batch]), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["int8.onnx", "int8.xml"])
def test_int8_answers_almost_as_the_network_in_a_smaller_file(
    name: str, folder: Path, net: nn.Module
) -> None:
    found, expected = Shipped(folder / name)(PROBE), net.eval()(PROBE)
    assert not torch.equal(found, expected)
    assert (found - expected).abs().max() < 0.2 * expected.abs().max()
    assert Shipped(folder / name).metadata["calibration"]["images"] == 64


def test_int8_leaves_the_biases_alone(folder: Path, net: nn.Module) -> None:
    nodes = need("openvino").Core().read_model(folder / "int8.xml").get_ordered_ops()
    (bias,) = (
        node.input_values()[1].get_node().get_data()
        for node in nodes
        if node.get_type_name() == "Add" and node.input_values()[1].get_shape() == [1, 4, 1, 1]
    )
    assert bias.flatten().tolist() == net.get_parameter("layers.1.bias").tolist()


@pytest.mark.parametrize("name", ["float.onnx", "int8.onnx", "float.xml", "int8.xml"])
def test_a_file_says_its_classes_and_threat(name: str, folder: Path) -> None:
    metadata = Shipped(folder / name).metadata
    assert metadata["classes"] == ["a", "b", "c"]
    assert metadata["threat"] == {"norm": "linf", "eps": 0.1, "bounds": [0.0, 1.0]}


def test_onnx_states_its_opset_and_names_and_gives_no_folder_away(folder: Path) -> None:
    import onnx

    model = onnx.load(folder / "float.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    assert [value.name for value in model.graph.input] == ["images"]
    assert [value.name for value in model.graph.output] == ["logits"]
    for path in folder.iterdir():
        assert str(Path.home()).encode() not in path.read_bytes()
        assert Path(__file__).name.encode() not in path.read_bytes()


RUNNERS = {
    "float.onnx": """
import onnxruntime
run = lambda x: onnxruntime.InferenceSession(sys.argv[1]).run(None, {"images": x})[0]
""",
    "float.xml": """
import openvino
run = lambda x: openvino.Core().compile_model(sys.argv[1], "CPU")(x)[0]
""",
    "float.pt2": """
import torch
run = lambda x: torch.export.load(sys.argv[1]).module()(torch.from_numpy(x))
""",
}


@pytest.mark.parametrize("name", RUNNERS)
def test_a_file_runs_where_advprune_is_not(name: str, folder: Path, net: nn.Module) -> None:
    program = f"""
import json, sys
import numpy as np
sys.modules["advprune"] = None  # importing it fails
{RUNNERS[name]}
print(json.dumps(run(np.array(json.loads(sys.argv[2]), np.float32)).tolist()))
"""
    images = json.dumps(PROBE[:5].tolist())
    done = subprocess.run(
        [sys.executable, "-c", program, folder / name, images],
        capture_output=True,
        text=True,
        check=True,
    )
    found = torch.tensor(json.loads(done.stdout))
    assert torch.allclose(found, net.eval()(PROBE[:5]), atol=1e-4)


@pytest.mark.skipif(not importlib.util.find_spec("executorch"), reason="needs executorch")
def test_executorch_answers_as_the_network(tmp_path: Path, net: nn.Module) -> None:
    made = ap.export(net, tmp_path / "net.pte", PROBE)
    assert made.parity.same_top1 == 1
    assert torch.allclose(Shipped(made.path)(PROBE), net.eval()(PROBE), atol=1e-5)


def test_the_report_counts_every_byte(tmp_path: Path, net: nn.Module) -> None:
    made = ap.export(net, tmp_path / "net.xml", PROBE)
    assert {path.name for path in tmp_path.iterdir()} == {"net.xml", "net.bin"}
    assert made.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert made.parity.images == 40
    assert json.loads(json.dumps(made.to_dict()))["parity"]["same_top1"] == 1


def test_weights_beyond_what_one_file_holds_lie_beside_it_and_count(
    tmp_path: Path, net: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("advprune.shipping.onnx.LARGEST", 100)
    made = ap.export(net, tmp_path / "net.onnx", PROBE)
    assert {path.name for path in tmp_path.iterdir()} == {"net.onnx", "net.onnx.data"}
    assert made.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    before = Shipped(made.path).sha256
    (tmp_path / "net.onnx.data").write_bytes(bytes(made.bytes))
    assert not torch.equal(Shipped(made.path).sha256, before)


def off_by(amount: float) -> Callable[..., None]:
    """A writer that exports another network than it was given."""

    def write(exported: Any, path: Path, metadata: dict[str, Any]) -> None:
        with torch.no_grad():
            exported.state_dict["layers.5.bias"][0] += amount
        write_onnx(exported, path, metadata)

    return write


def test_a_file_that_is_off_is_refused_and_the_old_one_stays(
    tmp_path: Path, net: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.onnx").write_text("older")
    monkeypatch.setitem(exporting.FORMATS, ".onnx", off_by(0.01))
    with pytest.raises(ValueError, match=r"logits differ by .* of the largest"):
        ap.export(net, tmp_path / "net.onnx", PROBE)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    assert (tmp_path / "net.onnx").read_text() == "older"


def test_the_network_is_left_as_it_was(folder: Path, net: nn.Module) -> None:
    assert folder.is_dir()
    fresh = Net()
    assert all(torch.equal(own, fresh.state_dict()[key]) for key, own in net.state_dict().items())


def test_what_cannot_be_exported_is_refused_with_what_is_allowed(
    tmp_path: Path, net: nn.Module
) -> None:
    class Counting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, :3] * (2 if len(x) > 3 else 1)

    for model, name, settings, complaint in (
        (net, "net.tflite", {}, r"\.tflite.*\.onnx, \.xml, \.pt2, \.pte"),
        (net, "net.pt2", {"calibration": TRAINING}, r"int8.*\.onnx, \.xml"),
        (net, "net.onnx", {"classes": object()}, "classes"),
        (net, "net.onnx", {"calibration": PROBE[:0]}, "calibration"),
        (Counting(), "net.onnx", {}, "any batch size"),
        (net, "net.onnx", {"example_input": PROBE[0]}, "example_input"),
    ):
        given: dict[str, Any] = {"example_input": PROBE, **settings}
        with pytest.raises(ValueError, match=complaint):
            ap.export(model, tmp_path / name, **given)
    assert not any(tmp_path.iterdir())


def test_a_gated_model_has_to_be_slimmed_first(
    tmp_path: Path, make_chain: type[nn.Module], images: Tensor
) -> None:
    gated = ap.gate(make_chain(), images, family="fixed")
    with pytest.raises(ValueError, match=r"advprune\.slim"):
        ap.export(gated, tmp_path / "net.onnx", images)


@pytest.mark.parametrize(
    ("suffix", "package", "extra"),
    [(".onnx", "onnxscript", "onnx"), (".xml", "openvino", "openvino")],
)
def test_a_missing_package_is_named_with_its_extra(
    suffix: str,
    package: str,
    extra: str,
    tmp_path: Path,
    net: nn.Module,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf"needs {package}.*advprune\[{extra}\]"):
        ap.export(net, tmp_path / f"net{suffix}", PROBE)

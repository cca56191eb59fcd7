"""Networks of classes that advprune does not know are saved as graphs and need no code to load."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.gates import gate
from advprune.models import build
from advprune.pruning import slim
from advprune.shipping import load, read_manifest, save
from advprune.structure import GraphNetwork

IMAGES = torch.rand(3, 1, 6, 6, generator=torch.Generator().manual_seed(0))


class Own(nn.Module):
    """A class of a user's: batch norm, dropout, a tied bias, a buffer outside the state dict."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.head, self.twin = nn.Linear(16, 3), nn.Linear(16, 3)
        self.twin.bias = self.head.bias
        self.register_buffer("scale", torch.tensor(2.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.norm(self.conv(x * self.scale))), 2)
        x = self.drop(x.flatten(1))
        logits: Tensor = self.head(x) - self.twin(torch.tanh(x))
        return logits


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """A slim network of that class and its folder."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        gated = gate(Own().eval(), IMAGES, "fixed")
    gated.gates["conv"].close(torch.tensor([True, False, False, False]))
    small = slim(gated, IMAGES)
    return small, save(small, tmp_path_factory.mktemp("saved") / "model", classes=["a", "b", "c"])


@pytest.fixture
def folder(saved: tuple[nn.Module, Path], tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(saved[1], tmp_path / "model"))


def respelled(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Changes the graph of a saved model, and its hash with it."""
    graph = json.loads((folder / "graph.json").read_text())
    change(graph)
    content = json.dumps(graph).encode()
    (folder / "graph.json").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["graph"]["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_it_answers_the_same_without_its_code(saved: tuple[nn.Module, Path]) -> None:
    model, folder = saved
    program = (
        "import sys, torch; from advprune.shipping import load; "
        "x = torch.rand(3, 1, 6, 6, generator=torch.Generator().manual_seed(0)); "
        "print(load(sys.argv[1])(x).double().sum().item())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, folder], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) == pytest.approx(model(IMAGES).double().sum().item(), rel=1e-6)


def test_it_trains_and_can_be_saved_again(saved: tuple[nn.Module, Path], tmp_path: Path) -> None:
    model, folder = saved
    again = load(folder)
    assert isinstance(again, GraphNetwork)
    assert list(again.state_dict()) == list(model.state_dict())
    assert again.get_parameter("twin.bias") is again.get_parameter("head.bias")
    before = again(IMAGES)
    optimiser = torch.optim.SGD(again.train().parameters(), lr=0.1)
    torch.autograd.backward(functional.cross_entropy(again(IMAGES), torch.tensor([0, 1, 2])))
    optimiser.step()
    third = load(save(again, tmp_path / "again", input_shape=[1, 6, 6]))
    assert torch.equal(third(IMAGES), again.eval()(IMAGES))
    assert not torch.equal(third(IMAGES), before)


def test_the_manifest_says_what_was_kept_and_of_which_images(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest.kept == {"conv": [1, 2, 3]}
    assert manifest.input_shape == [1, 6, 6]
    assert manifest.tensors["head.weight"].shape == [3, 12]
    assert "twin.bias" not in manifest.tensors
    assert manifest.tensors["scale"].shape == []


def test_a_truncated_or_changed_graph_is_refused(folder: Path) -> None:
    graph = folder / "graph.json"
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"graph\.json is damaged or was changed.*SHA-256"):
        load(folder)
    graph.unlink()
    with pytest.raises(ValueError, match=r"graph\.json is missing"):
        load(folder)


def test_a_graph_over_other_operators_is_refused_by_name(folder: Path) -> None:
    respelled(folder, lambda graph: graph["steps"][0].update(operator="aten.from_file.default"))
    with pytest.raises(ValueError, match=r"(?s)graph\.json.*aten\.from_file\.default"):
        load(folder)


def test_a_graph_of_other_tensors_is_refused(folder: Path) -> None:
    respelled(folder, lambda graph: graph["tensors"].pop("conv.bias"))
    with pytest.raises(ValueError, match=r"(?s)graph\.json.*conv\.bias"):
        load(folder)


def test_a_module_of_an_impossible_name_is_refused(folder: Path) -> None:
    respelled(folder, lambda graph: graph["steps"][0].update(module="forward"))
    with pytest.raises(ValueError, match=r"(?s)graph\.json.*forward"):
        load(folder)


@pytest.mark.parametrize("name", ["../graph.json", "/etc/passwd"])
def test_no_graph_outside_the_folder_is_read(folder: Path, name: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["graph"]["name"] = name
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="leads out"):
        load(folder)


def test_a_manifest_must_say_how_to_build(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["graph"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="neither architecture nor graph"):
        load(folder)


def test_a_function_of_ones_own_needs_no_trust_once_its_images_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.py").write_text(
        "from torch import nn\n\ndef net(units: int) -> nn.Module:\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(36, units))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    model = build("theirs:net", units=3)
    folder = save(model, tmp_path / "model", input_shape=[1, 6, 6])
    assert isinstance(load(folder), GraphNetwork)
    assert torch.equal(load(folder)(IMAGES), model(IMAGES))
    assert isinstance(load(folder, trust_code=True), nn.Sequential)


def test_a_network_that_torch_cannot_export_is_refused_with_the_reason(tmp_path: Path) -> None:
    class Depends(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if float(x.sum()) > 0 else -x

    with pytest.raises(ValueError, match="Depends cannot be saved"):
        save(Depends(), tmp_path / "model", input_shape=[1, 6, 6])
    assert not any(tmp_path.iterdir())

import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from advprune.evaluation import cost
from advprune.gates import gate
from advprune.models import build
from advprune.models.finished import finished
from advprune.pruning import slim

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Brightness(nn.Module):
    """One logit a channel: its mean."""

    pretrained_cfg: ClassVar = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.5, 1.0)}

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


NORMALIZED = (IMAGES.mean((2, 3)) - 0.5) / torch.tensor([0.25, 0.5, 1.0])


def stub(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    for depth in range(1, name.count(".") + 2):
        part = ".".join(name.split(".")[:depth])
        monkeypatch.setitem(sys.modules, part, ModuleType(part))
    sys.modules[name].__dict__.update(content)


def test_ones_own_safetensors_fill_the_model_that_is_named(tmp_path: Path) -> None:
    model = build("lenet5_caffe")
    path = tmp_path / "mine.safetensors"
    safetensors.torch.save_file(model.state_dict(), path)
    again = finished(str(path), model="lenet5_caffe")
    assert torch.equal(again.get_parameter("f2.weight"), model.get_parameter("f2.weight"))
    assert not again.training


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_torch_file_of_tensors_is_read(tmp_path: Path, wrapped: bool) -> None:
    state = build("lenet5_caffe").state_dict()
    parallel = {f"module.{name}": value for name, value in state.items()}
    path = tmp_path / "mine.pt"
    torch.save({"epoch": 3, "state_dict": parallel} if wrapped else state, path)
    again = finished(str(path), model="lenet5_caffe")
    assert torch.equal(again.state_dict()["conv1.bias"], state["conv1.bias"])


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch exploded",))


def test_a_torch_file_with_anything_else_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Bomb()}, "bomb.pt")
    with pytest.raises(ValueError, match="no file of tensors alone"):
        finished("bomb.pt", model="lenet5_caffe")
    assert not Path("exploded").exists()


def test_tensors_of_another_model_are_refused(tmp_path: Path) -> None:
    safetensors.torch.save_file({"other": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"(?s)no checkpoint of this model.*other"):
        finished(str(tmp_path / "other.safetensors"), model="lenet5_caffe")
    with pytest.raises(ValueError, match="there is no checkpoint"):
        finished(str(tmp_path / "missing.safetensors"), model="lenet5_caffe")


def test_code_is_run_only_when_trusted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--trust-code"):
        finished(str(tmp_path / "x.pt"), model="somewhere:net")
    with pytest.raises(ValueError, match="RobustBench unpickles"):
        finished("robustbench:cifar10/Linf/Standard")


def test_a_file_needs_the_name_of_its_model() -> None:
    with pytest.raises(ValueError, match="--model what builds its network"):
        finished("weights.pt")


def test_timm_networks_are_normalised_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def create_model(name: str, *, pretrained: bool) -> nn.Module:
        asked.append((name, pretrained))
        return Brightness()

    stub(monkeypatch, "timm", create_model=create_model)
    torch.testing.assert_close(finished("timm:resnet18")(IMAGES), NORMALIZED)
    assert asked == [("resnet18", True)]


def test_hugging_face_networks_give_logits_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    class Recorded(Brightness):
        def forward(self, x: Tensor) -> Any:
            return SimpleNamespace(logits=super().forward(x))

    def from_pretrained(name: str, *, use_safetensors: bool) -> nn.Module:
        assert (name, use_safetensors) == ("someone/net", True)
        return Recorded()

    facts = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.5, 1.0]}
    stub(
        monkeypatch,
        "transformers",
        AutoModelForImageClassification=SimpleNamespace(from_pretrained=from_pretrained),
        ImageProcessingMixin=SimpleNamespace(get_image_processor_dict=lambda _name: (facts, {})),
    )
    torch.testing.assert_close(finished("hf:someone/net")(IMAGES), NORMALIZED)


def test_a_folder_of_hugging_faces_own_files_is_read_gated_and_cut(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    settings = transformers.ResNetConfig(
        num_channels=3, embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], num_labels=3
    )
    theirs = transformers.ResNetForImageClassification(settings).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    facts = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    (tmp_path / "theirs" / "preprocessor_config.json").write_text(json.dumps(facts))
    found = finished(f"hf:{tmp_path / 'theirs'}")
    torch.testing.assert_close(found(IMAGES), theirs((IMAGES - 0.5) / 0.25).logits)
    gated = gate(found, IMAGES, "fixed")
    for one in gated.gates.values():
        one.close(torch.arange(one.units) >= one.units // 2)
    assert cost(slim(gated, IMAGES), IMAGES).macs < 0.5 * cost(found, IMAGES).macs


def test_robustbench_networks_take_pixels_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_model(model_name: str, dataset: str, threat_model: str) -> nn.Module:
        assert (model_name, dataset, threat_model) == ("Standard", "cifar10", "Linf")
        return Brightness()

    stub(monkeypatch, "robustbench.utils", load_model=load_model)
    found = finished("robustbench:cifar10/Linf/Standard", trust_code=True)
    assert torch.equal(found(IMAGES), IMAGES.mean((2, 3)))
    with pytest.raises(ValueError, match="DATA/THREAT/NAME"):
        finished("robustbench:Standard", trust_code=True)


def test_a_missing_package_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"needs timm.*pip install 'advprune\[timm\]'"):
        finished("timm:resnet18")

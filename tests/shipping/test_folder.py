import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import advprune.shipping.zoo
from advprune.models import build
from advprune.shipping import load, read_manifest, save
from advprune.structure import SelectedLinear
from advprune.structure.resize import resize
from advprune.threat import ThreatModel

IMAGES = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def lenet() -> nn.Module:
    return build("lenet5_caffe", widths=[4, 6, 8]).eval()


def slim_lenet() -> nn.Module:
    """A LeNet cut to one channel of the second convolution, of which f1 reads three positions."""
    model = lenet()
    one, positions = torch.tensor([2]), torch.arange(32, 48)
    resize(model, {"conv2.weight": {0: one}, "conv2.bias": {0: one}, "f1.weight": {1: positions}})
    f1 = model.get_submodule("f1")
    assert isinstance(f1, nn.Linear)
    model.f1 = SelectedLinear(f1, torch.tensor([0, 5, 15]))
    architecture: Any = model.architecture
    model.architecture = architecture | {"kept": {"conv2": [2]}, "selected": {"f1": [0, 5, 15]}}
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(lenet(), tmp_path / "model")


def change_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_model_comes_back_with_the_same_tensors_and_outputs(tmp_path: Path) -> None:
    model = lenet()
    again = load(save(model, tmp_path / "model", input_shape=[1, 28, 28]))
    assert torch.equal(again(IMAGES), model(IMAGES))
    assert again.architecture == model.architecture
    assert not again.training


def test_a_slim_model_comes_back_with_its_shapes_and_selected_inputs(tmp_path: Path) -> None:
    model = slim_lenet()
    again = load(save(model, tmp_path / "model", input_shape=[1, 28, 28]))
    assert torch.equal(again(IMAGES), model(IMAGES))
    assert again.architecture == model.architecture
    conv2, f1 = again.get_submodule("conv2"), again.get_submodule("f1")
    assert isinstance(conv2, nn.Conv2d)
    assert isinstance(f1, nn.Linear)
    assert (conv2.out_channels, f1.in_features) == (1, 3)
    assert torch.equal(load(save(again, tmp_path / "twice"))(IMAGES), model(IMAGES))


def test_a_model_with_batch_norm_comes_back(tmp_path: Path) -> None:
    model = build("vgg16", width=0.05)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model(images)
    again = load(save(model, tmp_path / "model"))
    assert torch.equal(again(images), model.eval()(images))


def test_metadata_stands_in_the_manifest(tmp_path: Path) -> None:
    folder = save(lenet(), tmp_path / "model", classes=["no", "yes"], note={"by": 1})
    manifest = read_manifest(folder)
    assert manifest.classes == ["no", "yes"]
    assert manifest.model_dump()["note"] == {"by": 1}
    assert manifest.tensors["conv1.weight"].shape == [4, 1, 5, 5]


def test_the_manifest_says_all_that_a_reader_needs(tmp_path: Path) -> None:
    folder = save(
        slim_lenet(),
        tmp_path / "model",
        input_shape=[1, 28, 28],
        classes=["no", "yes"],
        threat=ThreatModel("linf", 0.3),
        results={"robust": 0.5},
    )
    said = json.loads((folder / "manifest.json").read_text())
    weights = (folder / "model.safetensors").read_bytes()
    assert said["format"] == 2
    assert said["architecture"]["name"] == "lenet5_caffe"
    assert said["architecture"]["arguments"]["widths"] == [4, 6, 8]
    assert said["architecture"]["kept"] == {"conv2": [2]}
    assert said["tensors"]["conv2.weight"] == {"shape": [1, 4, 5, 5], "dtype": "float32"}
    assert said["weights"]["sha256"] == hashlib.sha256(weights).hexdigest()
    assert (said["input_shape"], said["input_range"]) == ([1, 28, 28], [0.0, 1.0])
    assert (said["classes"], said["results"]) == (["no", "yes"], {"robust": 0.5})
    assert said["threat"] == {"norm": "linf", "eps": 0.3, "bounds": [0.0, 1.0]}


@pytest.mark.parametrize("metadata", [{"note": object()}, {"classes": 3}, {"weights": "x"}])
def test_metadata_that_does_not_fit_is_refused(tmp_path: Path, metadata: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(metadata))):
        save(lenet(), tmp_path / "model", **metadata)
    assert not any(tmp_path.iterdir())


def test_saving_again_replaces_the_model(folder: Path) -> None:
    other = lenet()
    save(other, folder)
    assert torch.equal(load(folder)(IMAGES), other(IMAGES))
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="other files"):
        save(lenet(), tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_a_model_of_unknown_images_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"give input_shape=\(channels, height, width\)"):
        save(nn.Linear(2, 2), tmp_path / "model")


def test_a_model_changed_behind_its_architecture_is_refused_when_saved(tmp_path: Path) -> None:
    class Negated(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return -super().forward(x)

    model = lenet()
    model.f2 = Negated(8, 10)
    with pytest.raises(ValueError, match="other outputs"):
        save(model, tmp_path / "model", input_shape=[1, 28, 28])
    model.extra = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"unknown.*extra\.weight"):
        save(model, tmp_path / "model")
    assert not any(tmp_path.iterdir())


def test_truncated_weights_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"damaged or was changed.*SHA-256"):
        load(folder)


def test_one_changed_byte_is_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged or was changed.*SHA-256"):
        load(folder)


@pytest.mark.parametrize("name", ["manifest.json", "model.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_wherever_a_file_ends_early_it_is_refused(name: str, share: float, folder: Path) -> None:
    content = (folder / name).read_bytes().rstrip()
    (folder / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=name):
        load(folder)


def test_weights_that_are_no_safetensors_are_refused_though_their_hash_is_right(
    folder: Path,
) -> None:
    content = b"\x80\x04cposix\nsystem\n."  # as a pickle begins
    (folder / "model.safetensors").write_bytes(content)
    stated = {"name": "model.safetensors", "sha256": hashlib.sha256(content).hexdigest()}
    change_manifest(folder, weights=stated)
    with pytest.raises(ValueError, match="no safetensors file"):
        load(folder)


@pytest.mark.parametrize("content", [b"[]", b"3", b"\xff\xfe\x00", b"{}"])
def test_anything_else_in_place_of_a_manifest_is_refused(content: bytes, folder: Path) -> None:
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"manifest\.json is (damaged|no manifest)"):
        load(folder)


def test_a_newer_format_is_refused_with_the_cure(folder: Path) -> None:
    change_manifest(folder, format=3, something_new=True)
    with pytest.raises(ValueError, match=r"format 3.*install a newer"):
        load(folder)


def test_a_broken_manifest_is_refused(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"format": 1, "archi')
    with pytest.raises(ValueError, match="damaged"):
        load(folder)
    (folder / "manifest.json").write_text('{"format": 1}')
    with pytest.raises(ValueError, match=r"(?s)no manifest.*weights"):
        load(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "sub/../../secret", ".."])
def test_no_path_leaves_the_folder(folder: Path, name: str) -> None:
    change_manifest(folder, weights={"name": name, "sha256": ""})
    with pytest.raises(ValueError, match="leads out"):
        load(folder)


def test_no_link_leaves_the_folder(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.rename(folder.parent / "elsewhere")
    weights.symlink_to(folder.parent / "elsewhere")
    with pytest.raises(ValueError, match="leads out"):
        load(folder)


def test_other_tensors_than_listed_are_refused(folder: Path) -> None:
    tensors = json.loads((folder / "manifest.json").read_text())["tensors"]
    tensors["conv1.bias"]["shape"] = [5]
    change_manifest(folder, tensors=tensors)
    with pytest.raises(ValueError, match="manifest lists"):
        load(folder)


def test_selected_inputs_that_are_not_there_are_refused(folder: Path) -> None:
    architecture = {"name": "lenet5_caffe", "selected": {"f1": [800]}}
    change_manifest(folder, architecture=architecture)
    with pytest.raises(ValueError, match="f1"):
        load(folder)


def test_code_is_imported_only_when_trusted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "someones.py").write_text(
        "import torch\n\ndef net(units: int) -> torch.nn.Module:\n"
        "    return torch.nn.Linear(2, units)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    model = build("someones:net", units=3)
    saved = save(model, tmp_path / "theirs")
    with pytest.raises(ValueError, match="trust_code=True"):
        load(saved)
    assert torch.equal(load(saved, trust_code=True).weight, model.weight)  # type: ignore[arg-type]


def test_missing_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere is no folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no manifest\.json"):
        load(tmp_path)


def test_zoo_models_load_by_name_and_unknown_names_list_the_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advprune.shipping.zoo, "ZOO", folder.parent)
    assert torch.equal(load("zoo:model")(IMAGES), load(folder)(IMAGES))
    for unknown in ("zoo:modle", "zoo:../model", "zoo:"):
        with pytest.raises(ValueError, match="there are: model"):
            load(unknown)


def test_a_slim_model_loads_in_a_fresh_process(tmp_path: Path) -> None:
    model = slim_lenet()
    folder = save(model, tmp_path / "model")
    program = (
        "import sys, torch; from advprune.shipping import load; "
        "images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0)); "
        "print(load(sys.argv[1])(images).double().sum().item())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, folder], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) == pytest.approx(model(IMAGES).double().sum().item(), rel=1e-6)

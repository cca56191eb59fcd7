import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from advprune.attacks import FewPixels, Pointwise
from advprune.evaluation import SUITES, evaluate, verify
from advprune.evaluation.ledger import file_hash
from advprune.evaluation.suites import quick
from advprune.evaluation.trial import Trial
from advprune.evaluation.verify import read_results
from advprune.threat import ThreatModel

Told = dict[str, Any]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


def data() -> tuple[Tensor, Tensor]:
    x = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    y = network()(x).argmax(1)
    y[::7] = (y[::7] + 1) % 3
    return x, y


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Part of the data, with an attack in another norm."""
    few = Trial(Pointwise(FewPixels(3), queries=60), alone=True, kind="black-box", family="l0")
    folder, threat = tmp_path_factory.mktemp("judged"), ThreatModel("linf", 0.05)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SUITES, "quick", lambda threat, *_: {**quick(threat), "few": few})
        result = evaluate(
            network(), data(), threat, subset=30, batch_size=8, folder=folder / "kept"
        )
    assert 0 < result.robust < result.clean < 1
    result.to_json(folder / "result.json")
    return folder


@pytest.fixture
def judged(once: Path, tmp_path: Path) -> Told:
    """What the JSON says, with images of its own."""
    shutil.copytree(once / "kept", tmp_path / "kept")
    told: Told = json.loads((once / "result.json").read_text())
    told["images"]["folder"] = str(tmp_path / "kept")
    return told


def wrong(told: Told, model: nn.Module | None = None) -> dict[str, str]:
    """The points that do not hold."""
    found = verify(told, model or network(), data())
    assert found.holds == all(point.holds for point in found.points)
    return {point.name: point.text for point in found.points if not point.holds}


def changed(told: Told, attack: str, change: Callable[[dict[str, Tensor]], None]) -> Told:
    """The result with an attack's first file changed, and its hash with it."""
    told = copy.deepcopy(told)
    name = next(iter(told["images"]["files"][attack]))
    path = Path(told["images"]["folder"]) / name
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    told["images"]["files"][attack][name] = file_hash(path)
    return told


def test_an_honest_result_holds_in_every_point(judged: Told) -> None:
    found = verify(judged, network(), data())
    assert found.holds
    names = ["model", "images and labels", "clean", *judged["attacks"], "all attacks"]
    assert [point.name for point in found.points] == names
    assert "30 images in [0, 1] and within linf 0.05" in str(found)
    assert "and within l0 3" in str(found)
    assert found.verdict == "All is as it says."


def test_another_model_or_other_labels_are_found_out(judged: Told) -> None:
    other = network()
    with torch.no_grad():
        other.get_parameter("1.bias")[0] += 1e-3
    assert list(wrong(judged, other)) == ["model"]
    x, y = data()
    found = verify(judged, network(), (x, (y + 1) % 3))
    assert [point.name for point in found.points if not point.holds] == ["images and labels"]
    with pytest.raises(ValueError, match="of 5: other data"):
        verify(judged, network(), (x[:5], y[:5]))


def test_changed_and_missing_files_are_named(judged: Told) -> None:
    first, second = list(judged["images"]["files"]["pgd"])[:2]
    folder = Path(judged["images"]["folder"])
    content = bytearray((folder / second).read_bytes())
    content[-1] ^= 1
    (folder / second).write_bytes(content)
    assert wrong(judged)["pgd"].endswith(f"{second} was changed")
    (folder / first).unlink()
    found = wrong(judged)
    assert found["pgd"].endswith(f"{first} is missing")
    assert found["all attacks"].startswith("unknown")


def test_images_outside_the_threat_are_found_out(judged: Told) -> None:
    def move(tensors: dict[str, Tensor]) -> None:
        tensors["x_adv"] = (tensors["x_adv"] - 0.2).clamp(0, 1)

    assert "more than eps=0.05" in wrong(changed(judged, "pgd", move))["pgd"]

    def brighten(tensors: dict[str, Tensor]) -> None:
        tensors["x_adv"] = tensors["x_adv"] + 1

    assert "outside [0.0, 1.0]" in wrong(changed(judged, "fgsm", brighten))["fgsm"]

    def repaint(tensors: dict[str, Tensor]) -> None:
        tensors["x_adv"] = 1 - tensors["x_adv"]

    assert "in l0, more than eps=3" in wrong(changed(judged, "few", repaint))["few"]


def test_images_that_fool_less_or_stand_for_others_are_found_out(judged: Told) -> None:
    def restore(tensors: dict[str, Tensor]) -> None:
        x, _ = data()
        tensors["x_adv"] = x[judged["indices"]][tensors["rows"]]

    found = wrong(changed(judged, "pgd", restore))
    assert "right, the result says" in found["pgd"]

    def twice(tensors: dict[str, Tensor]) -> None:
        tensors["rows"][1] = tensors["rows"][0]

    assert "one example each" in wrong(changed(judged, "fgsm", twice))["fgsm"]


def test_figures_that_were_changed_are_found_out(judged: Told) -> None:
    for keys, value in {
        ("robust",): judged["robust"] + 1 / 30,
        ("survivors",): "ff" * 4,
        ("clean",): 1.0,
        ("attacks", "pgd", "accuracy"): 0.9,
        ("attacks", "pgd", "budget", "eps"): 0.5,
        ("attacks", "fgsm", "examples"): 29,
    }.items():
        told = copy.deepcopy(judged)
        place = told
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        assert wrong(told), keys


def test_results_that_cannot_be_verified_are_refused(judged: Told, tmp_path: Path) -> None:
    for told, message in (
        ({**judged, "schema": 1}, "schema 1"),
        ({**judged, "images": None}, "--keep"),
        ({key: value for key, value in judged.items() if key != "seed"}, "lacks seed"),
    ):
        with pytest.raises(ValueError, match=message):
            verify(told, network(), data())
    path = tmp_path / "other.json"
    for text, message in (("{", "cannot be read"), ("[]", "no result"), ('{"a": 1}', "no result")):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_results(path)
    path.write_text(json.dumps({"net": judged, "net.onnx": judged}))
    assert list(read_results(path)) == ["net", "net.onnx"]

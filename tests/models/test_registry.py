from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from advprune.models import MODELS, build, register

IMAGE = {
    "lenet5_caffe": (1, 28, 28),
    "small_cnn": (1, 8, 8),
    "vgg16": (3, 32, 32),
    "resnet18": (3, 32, 32),
}


def shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def architecture(model: nn.Module) -> Any:
    return model.architecture


@pytest.mark.parametrize("name", MODELS)
def test_every_model_maps_its_images_to_logits(name: str) -> None:
    model = build(name, classes=7).eval()
    assert model(torch.rand(2, *IMAGE[name])).shape == (2, 7)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_trains_on_a_batch_of_two(name: str) -> None:
    model = build(name)
    model(torch.rand(2, *IMAGE[name])).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_built_again_from_its_architecture(name: str) -> None:
    model = build(name, classes=3)
    noted = architecture(model)
    assert noted["name"] == name
    assert noted["arguments"]["classes"] == 3
    assert shapes(build(noted["name"], **noted["arguments"])) == shapes(model)


def test_the_architecture_holds_defaults_and_is_plain_json() -> None:
    noted = architecture(build("lenet5_caffe", widths=(2, 3, 4)))
    assert noted["arguments"] == {"in_channels": 1, "classes": 10, "widths": [2, 3, 4]}


def test_an_unknown_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'vgg16'"):
        build("vgg19")


def test_an_unknown_argument_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'classes'"):
        build("small_cnn", clases=3)


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="registered already"):
        register("vgg16")(nn.Identity)


def test_a_users_own_callable_is_built_with_its_arguments() -> None:
    model = build("torch.nn:Linear", in_features=3, out_features=2)
    assert isinstance(model, nn.Linear)
    assert architecture(model)["arguments"] == {"in_features": 3, "out_features": 2}


def test_a_users_module_is_found_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_own_nets.py").write_text(
        "import torch\ndef tiny(n=2):\n    return torch.nn.Linear(n, n)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert shapes(build("my_own_nets:tiny", n=5))["bias"] == (5,)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_module:net", "cannot import 'no_such_module'"),
        (":net", "cannot import ''"),
        ("torch.nn:NoSuchNet", "no callable named 'NoSuchNet'"),
        ("torch:float32", "no callable named 'float32'"),
        ("fractions:Fraction", "must return a torch.nn.Module, got Fraction"),
    ],
)
def test_what_is_no_model_is_refused(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build(name)


def test_arguments_that_json_cannot_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="must fit in JSON"):
        build("torch.nn:Linear", in_features=3, out_features=2, dtype=torch.float32)

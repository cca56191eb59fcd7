import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import advprune as ap
from advprune.attacks import PGD, backward_as
from advprune.shipping import Shipped, stand_in

THREAT = ap.ThreatModel("linf", 0.2)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_file_is_attacked_by_its_own_gradients_as_the_network_is(
    suffix: str, model: nn.Module, tmp_path: Path
) -> None:
    x = torch.rand(30, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    y = model(x).argmax(1)
    path = ap.export(model, tmp_path / f"net{suffix}", x).path
    expected = ap.evaluate(model, (x, y), THREAT)
    with backward_as(Shipped(path), {"": stand_in(path)}) as file:
        found = ap.evaluate(file, (x, y), THREAT, sources={"torch": model})
    assert found.gradients == {"": "its own graph, by torch"}
    assert expected.gradients == {}
    assert 0 < expected.robust < 1
    assert torch.equal(found.survivors, expected.survivors)
    assert found.attacks["transfer:torch"].accuracy < 1
    assert found.model_hash != expected.model_hash


def test_a_file_of_another_kind_needs_its_twin(model: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--twin"):
        stand_in(tmp_path / "net.pte")
    twin = stand_in(tmp_path / "net.pte", model.train())
    x = torch.rand(2, 1, 4, 4)
    assert not model.training
    assert torch.equal(twin(x), model(x))
    assert twin.whose == "its twin, as of every .pte file"


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_the_twin_stands_in_for_a_file_with_an_operator_that_is_not_known(
    suffix: str, tmp_path: Path
) -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.sinh(x.flatten(1))

    path = ap.export(Odd(), tmp_path / f"net{suffix}", torch.rand(3, 1, 2, 2)).path
    with pytest.raises(ValueError, match=r"operator Sinh .*twin"):
        stand_in(path)
    x, y = torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 2])
    with backward_as(Shipped(path), {"": stand_in(path, Odd())}) as file:
        found = ap.evaluate(file, (x, y), THREAT)
    assert found.gradients == {"": "its twin, for torch has no Sinh here"}
    assert "its twin, for torch has no Sinh here" in str(found)


def test_the_twin_does_not_stand_in_for_what_is_missing_or_broken(
    model: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match=r"needs onnx.*advprune\[onnx\]"):
        stand_in(tmp_path / "net.onnx", model)


def test_a_file_without_a_stand_in_says_that_it_has_no_gradient(
    model: nn.Module, tmp_path: Path
) -> None:
    x = torch.rand(4, 1, 4, 4)
    path = ap.export(model, tmp_path / "net.onnx", x).path
    with pytest.raises(ValueError, match="no gradient"):
        PGD(THREAT)(Shipped(path), x, model(x).argmax(1))

from pathlib import Path

import pytest
import torch
from torch import nn

import advprune as ap
from advprune.attacks import PGD, backward_as
from advprune.shipping import Shipped, stand_in

THREAT = ap.ThreatModel("linf", 0.2)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


def test_an_onnx_file_is_attacked_by_its_own_gradients_as_the_network_is(
    model: nn.Module, tmp_path: Path
) -> None:
    x = torch.rand(30, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    y = model(x).argmax(1)
    path = ap.export(model, tmp_path / "net.onnx", x).path
    expected = ap.evaluate(model, (x, y), THREAT)
    with backward_as(Shipped(path), {"": stand_in(path)}) as file:
        found = ap.evaluate(file, (x, y), THREAT, sources={"torch": model})
    assert 0 < expected.robust < 1
    assert torch.equal(found.survivors, expected.survivors)
    assert found.attacks["transfer:torch"].accuracy < 1
    assert found.model_hash != expected.model_hash


def test_a_file_of_another_kind_needs_its_twin(model: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--twin"):
        stand_in(tmp_path / "net.xml")
    assert stand_in(tmp_path / "net.xml", model.train()) is model
    assert not model.training


def test_a_file_without_a_stand_in_says_that_it_has_no_gradient(
    model: nn.Module, tmp_path: Path
) -> None:
    x = torch.rand(4, 1, 4, 4)
    path = ap.export(model, tmp_path / "net.onnx", x).path
    with pytest.raises(ValueError, match="no gradient"):
        PGD(THREAT)(Shipped(path), x, model(x).argmax(1))

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from advprune.shipping import Shipped, export, load, save
from advprune.shipping.program import program
from advprune.structure import SelectedLinear

IMAGES = torch.rand(3, 1, 2, 3, generator=torch.Generator().manual_seed(0))


def selecting(index: list[int], arriving: int = 6, outputs: int = 2) -> nn.Module:
    """A linear layer over some of the pixels: weights 1, 2, 3 ..."""
    linear = nn.Linear(arriving, outputs)
    with torch.no_grad():
        linear.weight.copy_(torch.arange(1, 1 + outputs * arriving).view(outputs, arriving))
    return nn.Sequential(nn.Flatten(), SelectedLinear(linear, torch.tensor(index))).eval()


def operators(exported: ExportedProgram) -> list[str]:
    return [node.name for node in exported.graph.nodes if node.op == "call_function"]


def test_a_selection_that_saves_little_becomes_columns_of_zeros() -> None:
    model = selecting([4, 0, 2])
    found = program(model, IMAGES)
    assert operators(found) == ["flatten", "linear"]
    assert found.state_dict["1.weight"].tolist() == [[1, 0, 3, 0, 5, 0], [7, 0, 9, 0, 11, 0]]
    torch.testing.assert_close(found.module()(IMAGES), model(IMAGES))
    assert model.get_parameter("1.weight").shape == (2, 3)


def test_a_selection_that_saves_much_stays() -> None:
    """Of 2,000 inputs 1 is read by 2 outputs: 3,998 products are saved, one value gathered."""
    model, images = selecting([7], arriving=2000), torch.rand(2, 1, 40, 50)
    found = program(model, images)
    assert operators(found) == ["flatten", "index_select", "linear"]
    torch.testing.assert_close(found.module()(images), model(images))


def test_weights_that_others_read_too_stay() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = selecting([0, 1, 2])
            self.second = nn.Linear(3, 2)
            self.second.weight = self.first.get_parameter("1.weight")

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.first(x) + self.second(x[:, 0, 0])
            return logits

    model = Tied().eval()
    found = program(model, IMAGES)
    assert "index_select" in operators(found)
    torch.testing.assert_close(found.module()(IMAGES), model(IMAGES))


def test_a_network_that_was_saved_as_a_graph_is_folded_alike(tmp_path: Path) -> None:
    again = load(save(selecting([0, 5]), tmp_path / "model", input_shape=[1, 2, 3]))
    assert operators(program(again, IMAGES)) == ["reshape", "linear"]


@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".pt2"])
def test_every_kind_of_file_is_written_and_answers_alike(suffix: str, tmp_path: Path) -> None:
    model = selecting([4, 0, 2])
    path = export(model, tmp_path / f"net{suffix}", IMAGES).path
    run = torch.export.load(path).module() if suffix == ".pt2" else Shipped(path)
    torch.testing.assert_close(run(IMAGES), model(IMAGES))

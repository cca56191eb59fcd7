import pytest
import torch
from torch import Tensor, nn

from advprune.structure import GraphNetwork, UnsupportedModelError
from advprune.structure.graph import export
from advprune.structure.writing import held_tensors, program_of

IMAGES = torch.rand(1, 1, 4, 4)


def test_the_batch_stays_open_and_other_sizes_are_stated(everything_as_graph: GraphNetwork) -> None:
    shapes = {step.module: step.shape for step in everything_as_graph.graph_program.steps}
    assert shapes["first"] == [None, 4, 4, 4]
    assert shapes["out"] == [None, 3]


def test_batch_norm_and_dropout_follow_their_modules(everything_as_graph: GraphNetwork) -> None:
    training = {
        (step.operator, reference["training"])
        for step in everything_as_graph.graph_program.steps
        for reference in step.references()
        if "training" in reference
    }
    assert training == {
        ("aten.batch_norm.default", "bn"),
        ("aten.batch_norm.default", "average"),
        ("aten.feature_dropout.default", "maps"),
        ("aten.dropout.default", "units"),
        ("aten.dropout.default", ""),
    }


def test_tensors_outside_the_state_dict_are_constants(everything_as_graph: GraphNetwork) -> None:
    tensors = everything_as_graph.graph_program.tensors
    assert [name for name, held in tensors.items() if held.kind == "constant"] == ["offset"]
    assert tensors["tied.weight"].same_as == "out.weight"


class Waves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        waves: Tensor = torch.fft.fft(x.flatten(1)).abs()
        return waves


class OneBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) * (1.0 if len(x) == 2 else 2.0)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Waves(), r"aten\._fft.*test_writing\.py"),
        (nn.Identity(), "what it was given"),
        (OneBatch(), "one batch size"),
    ],
)
def test_what_cannot_be_written_is_refused_with_the_reason(model: nn.Module, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        program_of(export(model, IMAGES), model)


def test_every_tensor_is_held_under_its_name() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    held = held_tensors(export(model, IMAGES), model)
    assert held["1.weight"] is model[1].weight
    assert list(held) == ["1.weight", "1.bias"]

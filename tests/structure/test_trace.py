import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from advprune.gates import GatedModel
from advprune.structure import Structure, UnsupportedModelError, trace

IMAGES = torch.rand(2, 1, 4, 4)


def test_a_chain_has_one_group_a_layer_but_none_for_the_logits(chain: GatedModel) -> None:
    structure = chain.structure
    assert {name: group.units for name, group in structure.groups.items()} == {
        "conv1": 3,
        "conv2": 4,
        "f1": 5,
    }
    assert list(structure.layers) == ["conv1", "conv2", "f1", "f2"]
    assert list(structure.gated_layers) == ["conv2", "f1", "f2"]


def test_flattening_gives_each_position_its_channel(chain: GatedModel) -> None:
    conv2, f1 = chain.structure.groups["conv2"], chain.structure.layers["f1"]
    expected = torch.arange(4).repeat_interleave(4) + conv2.start
    assert torch.equal(f1.inputs[0], expected)


def test_batch_norm_is_cut_with_the_layer_before_it(chain: GatedModel) -> None:
    for name in ("weight", "bias", "running_mean", "running_var"):
        assert chain.structure.slices[f"bn1.{name}"][0].tolist() == [0, 1, 2]
    assert "bn1.num_batches_tracked" not in chain.structure.slices


def test_what_a_residual_sum_adds_is_one_group(residual: GatedModel) -> None:
    structure = residual.structure
    assert {name: group.units for name, group in structure.groups.items()} == {
        "stem": 4,
        "same.conv1": 4,
        "wider.conv1": 6,
        "wider.conv2": 6,
    }
    stem = structure.groups["stem"]
    made_alike = [
        name
        for name, layer in structure.layers.items()
        if layer.outputs.tolist() == list(range(stem.start, stem.span.stop))
    ]
    assert made_alike == ["stem", "same.conv2"]


def test_multiply_accumulates_are_counted_by_hand(chain: GatedModel, residual: GatedModel) -> None:
    assert chain.structure.macs() == 16 * 9 * 3 + 16 * 9 * 3 * 4 + 16 * 5 + 5 * 3
    assert residual.structure.macs() == (
        16 * 9 * 4  # stem
        + 2 * 16 * 9 * 4 * 4  # the block that stays as it is
        + 4 * 9 * 4 * 6 + 4 * 9 * 6 * 6 + 4 * 4 * 6  # the wider one, on 2x2
        + 6 * 3
    )  # fmt: skip


def test_tracing_leaves_the_model_and_takes_any_batch(make_chain: type[nn.Module]) -> None:
    model = make_chain().train()
    state = copy.deepcopy(model.state_dict())
    for batch in (1, 3):
        assert trace(model, torch.rand(batch, 1, 4, 4)).units == 12
    assert model.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_an_input_that_is_no_batch_of_images_is_refused(make_chain: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="batch, channels, height, width"):
        trace(make_chain(), torch.rand(1, 4, 4))


def test_a_network_without_units_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    with pytest.raises(UnsupportedModelError, match="no group of channels"):
        trace(model, IMAGES)


def test_what_torch_cannot_export_is_refused_in_its_words() -> None:
    class Depends(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if float(x.sum()) > 0 else functional.relu(x)

    with pytest.raises(UnsupportedModelError, match="cannot take Depends"):
        trace(Depends(), IMAGES)


def test_a_layer_that_runs_twice_counts_twice_and_keeps_one_group() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.again = nn.Conv2d(1, 3, 1), nn.Conv2d(3, 3, 1)
            self.fc = nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.again(functional.relu(self.again(functional.relu(self.first(x)))))
            logits: torch.Tensor = self.fc(x.mean((2, 3)))
            return logits

    structure: Structure = trace(Twice(), IMAGES)
    assert list(structure.groups) == ["first"]
    assert structure.macs() == 16 * 3 + 2 * 16 * 9 + 6

import copy
import json

import pytest
import torch
from torch import Tensor

from advprune.gates import Fixed, GatedModel, remove, restore, shape_state


def test_removing_what_goes_leaves_the_function(gated: GatedModel, images: Tensor) -> None:
    gated, images = gated.double(), images.double()
    before, macs = gated(images), gated.structure.macs(gated.keep())
    weights = sum(value.numel() for value in gated.model.parameters())
    remove(gated, gated.keep())
    torch.testing.assert_close(gated(images), before, rtol=0, atol=1e-10)
    assert gated.structure.macs(gated.keep()) == macs
    assert sum(value.numel() for value in gated.model.parameters()) < weights


def test_removing_twice_is_removing_at_once(positions: GatedModel, images: Tensor) -> None:
    twice, once = copy.deepcopy(positions), positions
    first, both = torch.ones(28, dtype=torch.bool), torch.ones(28, dtype=torch.bool)
    first[[1, 4]] = False  # conv1: 0, 1, 2; conv2: 3, 4, 5, 6; f1: 7 … 11; its inputs after them
    both[[1, 4, 6, 9]] = False
    remove(once, both)
    remove(twice, first)
    second = torch.ones(22, dtype=torch.bool)  # 0, 2; 3, 5, 6; 7 … 11; three times 4 inputs
    second[[4, 7]] = False
    remove(twice, second)
    assert shape_state(twice) == shape_state(once)
    assert torch.equal(twice(images), once(images))


def test_the_slices_say_how_each_parameter_was_cut(gated: GatedModel) -> None:
    before = copy.deepcopy(gated.state_dict())
    slices = remove(gated, gated.keep())
    for name, value in gated.state_dict().items():
        expected = before[name]
        for dim, kept in slices.get(name, {}).items():
            expected = expected.index_select(dim, kept)
        assert torch.equal(value, expected), name


def test_a_model_gated_anew_takes_the_saved_shape_and_state(gated: GatedModel) -> None:
    fresh = copy.deepcopy(gated)
    remove(gated, gated.keep())
    restore(fresh, json.loads(json.dumps(shape_state(gated))))
    fresh.load_state_dict(gated.state_dict())
    assert shape_state(fresh) == shape_state(gated)
    assert fresh.structure.macs() == gated.structure.macs()
    assert {name: gate.units for name, gate in fresh.gates.items()} == {
        name: group.units for name, group in gated.structure.groups.items()
    }


def test_positions_closed_by_themselves_stay_until_their_channel_goes(
    positions: GatedModel,
) -> None:
    gate = positions.gates["f1.inputs"]
    assert isinstance(gate, Fixed)
    gate.values[[0, 5]] = 0
    gate.values[8:12] = 0
    remove(positions, positions.keep())
    assert gate.units == 12
    assert (gate.values == 0).nonzero().flatten().tolist() == [0, 5]


def test_a_state_of_another_model_is_refused(chain: GatedModel) -> None:
    state = shape_state(chain)
    with pytest.raises(ValueError, match=r"groups \['conv1'\]"):
        restore(chain, {"conv1": [0]})
    with pytest.raises(ValueError, match=r"'conv1' keeps \[0, 3\] of 3 units"):
        restore(chain, state | {"conv1": [0, 3]})
    with pytest.raises(ValueError, match=r"'conv1' keeps \[\] of 3 units"):
        restore(chain, state | {"conv1": []})

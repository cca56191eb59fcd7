import torch
from torch import Tensor

from advprune.gates import GatedModel
from advprune.gates.gated import drop_gates
from advprune.structure import CutNetwork, SelectedLinear


def keep_without(gated: GatedModel, *units: int) -> Tensor:
    keep = torch.ones(gated.structure.units, dtype=torch.bool)
    keep[list(units)] = False
    return keep


def test_a_cut_network_has_the_rows_and_columns_that_are_kept(chain: GatedModel) -> None:
    cut = CutNetwork(chain.model, chain.structure, keep_without(chain, 1, 3))  # conv1, conv2
    network = cut.refresh(torch.full((12,), 0.5))
    weight = chain.model.get_parameter("conv2.weight")
    expected = 0.5 * weight[1:][:, [0, 2]]
    assert torch.equal(network.get_parameter("conv2.weight"), expected)
    f1 = network.get_parameter("f1.weight")
    assert torch.equal(f1, 0.5 * chain.model.get_parameter("f1.weight")[:, 4:])


def test_the_model_that_is_cut_stays_whole(chain: GatedModel, images: Tensor) -> None:
    before = chain(images)
    CutNetwork(chain.model, chain.structure, keep_without(chain, 0)).refresh(torch.zeros(12))
    assert torch.equal(chain(images), before)


def test_values_of_units_that_are_not_kept_do_not_count(chain: GatedModel, images: Tensor) -> None:
    cut = CutNetwork(chain.model, chain.structure, keep_without(chain, 4))
    drop_gates(cut.network)
    values = torch.ones(12)
    expected = cut.refresh(values)(images).clone()
    values[4] = 7.0
    assert torch.equal(cut.refresh(values)(images), expected)


def test_inputs_closed_by_a_layers_own_gates_are_picked(
    positions: GatedModel, images: Tensor
) -> None:
    cut = CutNetwork(positions.model, positions.structure, keep_without(positions, 12, 13, 20))
    drop_gates(cut.network)
    before = cut.refresh(torch.ones(28))(images)
    assert cut.select_inputs() == {"f1": [2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15]}
    assert isinstance(cut.network.get_submodule("f1"), SelectedLinear)
    torch.testing.assert_close(cut.network(images), before)

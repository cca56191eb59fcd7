import pytest
import torch

from advprune.gates import GatedModel
from advprune.structure import Group, Layer, Structure


def test_units_in_one_vector_are_split_by_group_and_joined_again(chain: GatedModel) -> None:
    vector = torch.arange(12)
    parts = chain.structure.split(vector)
    assert parts["conv2"].tolist() == [3, 4, 5, 6]
    assert torch.equal(chain.structure.join(parts), vector)


def test_a_unit_costs_what_the_network_saves_without_it(gated: GatedModel) -> None:
    structure = gated.structure
    for keep in (torch.ones(structure.units, dtype=torch.bool), gated.keep()):
        costs, now = structure.unit_macs(keep), structure.macs(keep)
        for unit in range(structure.units):
            other = keep.clone()
            other[unit] = not keep[unit]
            assert costs[unit] == abs(now - structure.macs(other)), unit


def test_a_unit_that_a_layer_reads_and_makes_is_counted_once() -> None:
    units = torch.arange(2)
    structure = Structure({"g": Group("g", 2, 2, 0)}, {"g": Layer("g", (units,), units, 3)})
    assert structure.macs() == 3 * 2 * 2
    assert structure.unit_macs().tolist() == [9, 9]  # 12 with both, 3 with one
    assert structure.unit_macs(torch.tensor([True, False])).tolist() == [3, 9]


def test_a_layer_multiplies_the_factors_of_its_inputs(positions: GatedModel) -> None:
    values = torch.ones(29)
    values[3:7] = torch.tensor([1.0, 2.0, 3.0, 4.0])  # conv2
    values[12:28] = torch.tensor([1.0, 0.0, 1.0, 0.5]).repeat(4)
    factor = positions.structure.layers["f1"].factor(values)
    assert factor.tolist() == [float(c) * p for c in (1, 2, 3, 4) for p in (1, 0, 1, 0.5)]
    assert positions.structure.layers["f1"].factor(values != 0).sum() == 12


def test_a_restricted_structure_costs_what_was_kept(gated: GatedModel) -> None:
    keep = gated.keep()
    for layer in gated.structure.layers.values():  # positions go with their channel only
        for own in layer.inputs[1:]:
            keep[own] = keep[layer.inputs[0]]
    smaller = gated.structure.restricted(keep)
    assert smaller.units == int(keep.sum())
    assert smaller.macs() == gated.structure.macs(keep)
    assert [g.total for g in smaller.groups.values()] == [
        g.total for g in gated.structure.groups.values()
    ]


def test_only_linear_layers_behind_gated_channels_take_gates_of_their_own(
    chain: GatedModel,
) -> None:
    both = chain.structure.with_input_gates(("f1", "f2"))
    assert both.units == 12 + 16 + 5
    assert both.macs() == chain.structure.macs()
    for name in ("conv2", "f3"):
        with pytest.raises(ValueError, match=rf"per_position='{name}'.*\['f1', 'f2'\]"):
            chain.structure.with_input_gates((name,))

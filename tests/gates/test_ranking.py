import pytest
import torch

from advprune.gates import GatedModel
from advprune.gates.ranking import magnitudes
from advprune.gates.settling import settle


def test_a_unit_is_as_large_as_the_filter_that_makes_it(chain: GatedModel) -> None:
    conv1 = chain.model.get_parameter("conv1.weight")
    conv1.data = torch.stack([torch.full((1, 3, 3), value) for value in (1.0, -2.0, 3.0)])
    found = chain.structure.split(magnitudes(chain))
    assert torch.allclose(found["conv1"], torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64))
    assert all(abs(float(values.mean()) - 1) < 1e-6 for values in found.values())


def test_units_of_two_layers_have_the_sum_and_inputs_what_reads_them(
    residual: GatedModel, positions: GatedModel
) -> None:
    with torch.no_grad():
        for name, parameter in residual.model.named_parameters():
            if name in ("stem.weight", "same.conv2.weight"):
                parameter.zero_()
        residual.model.get_parameter("stem.weight")[1] = 1.0
        residual.model.get_parameter("same.conv2.weight")[3] = 1.0
    found = residual.structure.split(magnitudes(residual))["stem"]
    assert found.tolist() == pytest.approx([0, 4 * 9 / 45, 0, 4 * 36 / 45])
    weight = positions.model.get_parameter("f1.weight").detach()
    expected = weight.abs().sum(0) / weight.abs().sum(0).mean()
    inputs = positions.structure.split(magnitudes(positions))["f1.inputs"]
    assert torch.allclose(inputs.float(), expected)


def test_the_smallest_filters_go_when_a_budget_is_settled_by_magnitude(chain: GatedModel) -> None:
    score = magnitudes(chain)
    settle(chain, 0.6 * chain.structure.macs(), score)
    kept, by_group = chain.structure.split(chain.keep()), chain.structure.split(score)
    assert chain.structure.macs(chain.keep()) <= 0.6 * chain.structure.macs()
    for name, keep in kept.items():
        assert bool(keep[by_group[name].argmax()])

from typing import Any

import pytest
import torch
from torch import nn

CONVOLUTION = torch.ops.aten.convolution.default
LINEAR = torch.ops.aten.linear.default
SETTINGS = ([1, 1], [0, 0], [1, 1])


def convolved(bench: Any, layer: nn.Conv2d | nn.ConvTranspose2d, x: Any, *, groups: int = 1) -> Any:
    """Runs a 1x1 convolution, as the whole model."""
    bench.flow.model = layer
    weight = bench.parameter("weight", *layer.weight.shape)
    transposed = isinstance(layer, nn.ConvTranspose2d)
    return bench.run(CONVOLUTION, x, weight, None, *SETTINGS, transposed, [0, 0], groups)


def reading(bench: Any) -> Any:
    (found,) = bench.flow.readings.values()
    return found


def ids(bench: Any, name: str, dim: int) -> Any:
    return bench.flow.units.roots(bench.flow.slices[name][dim]).tolist()


def test_a_convolution_reads_columns_and_makes_rows(bench: Any) -> None:
    x = bench.value((2, 3, 4, 4), dim1=[1, 2, 3])
    found = convolved(bench, nn.Conv2d(3, 2, 1, bias=False), x)
    assert [row[0][0] for row in found[0]] == [13, 14]
    assert (ids(bench, "weight", 0), ids(bench, "weight", 1)) == ([13, 14], [1, 2, 3])
    assert (reading(bench).reads, reading(bench).pair_macs) == (1, 16)


def test_a_transposed_convolution_has_its_inputs_first(bench: Any) -> None:
    x = bench.value((2, 3, 4, 4), dim1=[1, 2, 3])
    convolved(bench, nn.ConvTranspose2d(3, 2, 1, bias=False), x)
    assert (ids(bench, "weight", 0), ids(bench, "weight", 1)) == ([1, 2, 3], [13, 14])
    assert reading(bench).reads == 0


def test_a_depthwise_convolution_passes_its_channels_on(bench: Any) -> None:
    x = bench.value((2, 3, 4, 4), dim1=[1, 2, 3])
    found = convolved(bench, nn.Conv2d(3, 6, 1, groups=3, bias=False), x, groups=3)
    assert [row[0][0] for row in found[0]] == [1, 1, 2, 2, 3, 3]
    assert set(bench.flow.slices["weight"]) == {0}
    assert bench.flow.counts["groups"].tolist() == [1, 2, 3]
    assert reading(bench).inputs.tolist() == [0]


def test_many_small_groups_go_whole(bench: Any) -> None:
    x = bench.value((2, 6, 4, 4), dim1=[1, 2, 3, 4, 5, 6])
    found = convolved(bench, nn.Conv2d(6, 3, 1, groups=3, bias=False), x, groups=3)
    assert [row[0][0] for row in found[0]] == [1, 3, 5]
    assert bench.now(x) == [[[[1]], [[1]], [[3]], [[3]], [[5]], [[5]]]]


def test_few_large_groups_lose_the_same_positions(bench: Any) -> None:
    x = bench.value((2, 6, 4, 4), dim1=[1, 2, 3, 4, 5, 6])
    found = convolved(bench, nn.Conv2d(6, 4, 1, groups=2, bias=False), x, groups=2)
    assert [row[0][0] for row in found[0]] == [13, 14, 13, 14]
    assert ids(bench, "weight", 1) == [1, 2, 3]
    assert bench.flow.units.roots(reading(bench).arriving).tolist() == [1, 2, 3, 1, 2, 3]


def test_a_linear_layer_reads_the_last_dimension(bench: Any) -> None:
    bench.flow.model = nn.Linear(3, 2)
    tokens = bench.value((2, 5, 3), dim2=[1, 2, 3])
    weight, bias = bench.parameter("weight", 2, 3), bench.parameter("bias", 2)
    assert bench.run(LINEAR, tokens, weight, bias) == [[[13, 14]]]
    assert bench.now(bias) == [13, 14]
    assert (reading(bench).channels, reading(bench).pair_macs) == (-1, 5)


def test_a_linear_layer_across_channels_leaves_them_whole(bench: Any) -> None:
    bench.flow.model = nn.Linear(5, 2)
    turned = bench.value((2, 3, 5), dim1=[1, 2, 3])
    weight = bench.parameter("weight", 2, 5)
    assert bench.run(LINEAR, turned, weight) == [[[13, 14]]]
    assert bench.now(turned) == [[[0], [0], [0]]]


def test_a_weight_read_without_its_layer_leaves_its_inputs_whole(bench: Any) -> None:
    bench.flow.model = nn.Sequential(nn.Linear(3, 2))
    x = bench.value((2, 3), dim1=[1, 2, 3])
    assert bench.run(LINEAR, x, bench.parameter("0.weight", 2, 3)) == [[13, 14]]
    assert bench.now(x) == [[0, 0, 0]]
    assert bench.flow.hidden == ["0"]
    assert "0 is read without calling" in bench.flow.units.why(torch.tensor([1]))


@pytest.mark.parametrize(
    ("operator", "made"),
    [(torch.ops.aten.neg.default, [13, 14]), (torch.ops.aten._softmax.default, [13, 13])],
)
def test_a_computed_weight_loses_the_outputs_that_it_keeps_apart_and_no_inputs(
    bench: Any, operator: Any, made: list[int]
) -> None:
    x, own = bench.value((2, 3), dim1=[1, 2, 3]), bench.parameter("own", 2, 3)
    weight = bench.nodes.call_function(operator, (own, 0, False)[: 1 if made[1] == 14 else 3])
    weight.meta["val"] = own.meta["val"]
    assert bench.run(LINEAR, x, weight) == [made]
    assert bench.now(own) == [[unit] * 3 for unit in made]
    assert bench.now(x) == [[0, 0, 0]]
    assert "computes its weight" in bench.flow.units.why(torch.tensor([1]))


def test_a_layer_that_runs_twice_has_one_set_of_units(bench: Any) -> None:
    bench.flow.model = nn.Linear(3, 3)
    weight = bench.parameter("weight", 3, 3)
    first = bench.value((2, 3), dim1=[1, 2, 3])
    second = bench.value((2, 3), dim1=[4, 5, 6])
    assert bench.run(LINEAR, first, weight) == [[13, 14, 15]]
    assert bench.run(LINEAR, second, weight) == [[13, 14, 15]]
    assert bench.now(second) == [[1, 2, 3]]
    assert reading(bench).pair_macs == 2

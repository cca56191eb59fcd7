from typing import Any

import torch
from torch import nn


class Turned(nn.Module):
    """Holds a weight whose inputs come first."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, 2))


HEADS = torch.tensor([[1, 2], [3, 4]]).view(1, 2, 1, 2)  # two heads of width 2


def test_a_head_of_queries_keys_and_values_is_one_unit(bench: Any) -> None:
    query, key, value = (bench.grid((2, 2, 5, 2), HEADS + 4 * i) for i in range(3))
    operator = torch.ops.aten.scaled_dot_product_attention.default
    found = bench.run(operator, query, key, value)
    assert found == [[[[1]], [[3]]]]
    assert bench.now(query) == bench.now(key) == bench.now(value) == [[[[1, 1]], [[3, 3]]]]


def test_what_a_product_sums_over_is_tied(bench: Any) -> None:
    left = bench.value((4, 5, 3), dim2=[1, 2, 3])
    right = bench.value((4, 3, 6), dim2=[7, 8, 9, 10, 11, 12])
    bench.run(torch.ops.aten.bmm.default, left, right)
    assert bench.now(left) == [[[1, 1, 1]]]
    assert bench.now(right) == [[[1] * 6]]


def test_a_product_with_a_parameter_is_a_layer(bench: Any) -> None:
    bench.flow.model = Turned()
    x, weight = bench.value((2, 3), dim1=[1, 2, 3]), bench.parameter("weight", 3, 2)
    assert bench.run(torch.ops.aten.mm.default, x, weight) == [[13, 14]]
    assert bench.flow.readings[""].reads == 0
    assert bench.now(x) == [[1, 2, 3]]

from typing import Any

import torch

ATEN = torch.ops.aten


def test_a_mean_over_positions_ties_nothing(bench: Any) -> None:
    live = bench.value((2, 3, 4, 4), dim1=[1, 2, 3])
    assert bench.run(ATEN.mean.dim, live, [2, 3], True) == [[[[1]], [[2]], [[3]]]]
    assert bench.run(ATEN.mean.dim, live, [-1, -2]) == [[1, 2, 3]]


def test_a_mean_over_channels_ties_them_and_says_so(bench: Any) -> None:
    live = bench.value((2, 3, 4, 4), dim1=[1, 2, 3])
    assert bench.run(ATEN.mean.dim, live, [1]) == [[[1]]]
    assert bench.now(live) == [[[[1]], [[1]], [[1]]]]
    assert "mean" in bench.flow.units.why(torch.tensor([2]))


def test_softmax_ties_what_it_runs_over_and_keeps_the_rest(bench: Any) -> None:
    scores = bench.value((2, 3, 5, 5), dim1=[1, 2, 3])
    assert bench.run(ATEN._softmax.default, scores, -1, False) == [[[[1]], [[2]], [[3]]]]
    assert bench.run(ATEN._softmax.default, scores, 1, False) == [[[[1]]]]


def test_pooling_over_rows_of_two_channels_ties_them(bench: Any) -> None:
    apart = bench.value((2, 3, 4, 4), dim1=[1, 2, 3])
    mixed = bench.value((2, 1, 2, 4), dim2=[4, 5])
    bench.run(ATEN.avg_pool2d.default, apart, [2, 2])
    bench.run(ATEN.avg_pool2d.default, mixed, [2, 2])
    assert bench.now(apart) == [[[[1]], [[2]], [[3]]]]
    assert bench.now(mixed) == [[[[4], [4]]]]

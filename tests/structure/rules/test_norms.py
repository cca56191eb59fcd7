from typing import Any

import torch

ATEN = torch.ops.aten


def test_batch_norm_slices_its_parameters_with_the_channels(bench: Any) -> None:
    live = bench.value((2, 3, 4, 4), dim1=[1, 2, 3])
    held = [bench.parameter(name, 3) for name in ("weight", "bias", "mean", "var")]
    operator = ATEN._native_batch_norm_legit_no_training.default
    assert bench.run(operator, live, *held, 0.1, 1e-5) == [[[[1]], [[2]], [[3]]]]
    assert [bench.now(node) for node in held] == [[1, 2, 3]] * 4


def test_instance_norm_takes_each_channel_by_itself(bench: Any) -> None:
    beside = bench.value((1, 6, 4, 4), dim1=[1, 2, 3, 1, 2, 3])  # two images' channels
    operator = ATEN._native_batch_norm_legit.no_stats
    found = bench.run(operator, beside, None, None, True, 0.1, 1e-5)
    assert [row[0][0] for row in found[0]] == [1, 2, 3, 1, 2, 3]


def test_layer_norm_ties_all_that_it_runs_over(bench: Any) -> None:
    tokens = bench.value((2, 5, 3), dim2=[1, 2, 3])
    weight = bench.parameter("weight", 3)
    bench.run(ATEN.native_layer_norm.default, tokens, [3], weight, None, 1e-5)
    assert bench.now(tokens) == [[[1, 1, 1]]]
    assert bench.now(weight) == [1, 1, 1]


def test_group_norm_goes_by_whole_groups_and_counts_them(bench: Any) -> None:
    bench.model.num_groups, bench.model.num_channels = 2, 4
    live = bench.value((2, 4, 3, 3), dim1=[1, 2, 3, 4])
    weight = bench.parameter("weight", 4)
    bench.run(ATEN.native_group_norm.default, live, weight, None, 2, 4, 9, 2, 1e-5)
    assert bench.now(weight) == [1, 1, 3, 3]
    roots = bench.flow.units.roots
    assert roots(bench.flow.counts["num_groups"]).tolist() == [1, 3]
    assert roots(bench.flow.counts["num_channels"]).tolist() == [1, 1, 3, 3]

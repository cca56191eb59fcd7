from typing import Any

import torch

ADD = torch.ops.aten.add.Tensor
MUL = torch.ops.aten.mul.Tensor


def test_channels_that_are_added_are_tied(bench: Any) -> None:
    left = bench.value((2, 3, 4, 4), dim1=[1, 2, 3])
    right = bench.value((2, 3, 4, 4), dim1=[4, 5, 6])
    assert bench.run(ADD, left, right) == [[[[1]], [[2]], [[3]]]]
    assert bench.now(right) == [[[[1]], [[2]], [[3]]]]


def test_what_is_added_to_what_stays_stays(bench: Any) -> None:
    live = bench.value((2, 3, 4, 4), dim1=[1, 2, 3])
    image = bench.value((2, 3, 4, 4), dim1=[0])
    bench.run(ADD, live, image)
    assert bench.now(live) == [[[[0]], [[0]], [[0]]]]
    assert "joins its outputs to what stays" in bench.flow.units.why(torch.tensor([1]))


def test_a_factor_of_one_element_a_channel_is_tied_and_one_for_all_is_not(bench: Any) -> None:
    live = bench.value((2, 3, 4, 4), dim1=[1, 2, 3])
    each = bench.value((2, 3, 1, 1), dim1=[4, 5, 6])
    for_all = bench.value((2, 1, 4, 4), dim1=[0])
    bench.run(MUL, live, each)
    bench.run(MUL, live, for_all)
    assert bench.now(each) == bench.now(live) == [[[[1]], [[2]], [[3]]]]


def test_a_unit_that_reaches_several_others_stays(bench: Any) -> None:
    live = bench.value((2, 3, 4, 4), dim1=[1, 2, 3])
    map_of_space = bench.value((2, 1, 4, 4), dim1=[7])
    assert bench.run(MUL, live, map_of_space) == [[[[1]], [[2]], [[3]]]]
    assert bench.now(map_of_space) == [[[[0]]]]


def test_a_parameter_is_sliced_with_the_channels_that_it_scales(bench: Any) -> None:
    live = bench.value((2, 3, 4, 4), dim1=[1, 2, 3])
    scale, shift = bench.parameter("scale", 3, 1, 1), bench.parameter("shift", 1)
    bench.run(MUL, live, scale)
    bench.run(ADD, live, shift)
    assert bench.now(scale) == [[[1]], [[2]], [[3]]]
    assert bench.now(live) == [[[[1]], [[2]], [[3]]]]


def test_a_number_changes_nothing(bench: Any) -> None:
    live = bench.value((2, 3), dim1=[1, 2, 3])
    assert bench.run(ADD, live, 1.5) == [[1, 2, 3]]

from typing import Any

import torch

ATEN = torch.ops.aten


def test_flattening_gives_each_position_its_channel(bench: Any) -> None:
    live = bench.value((2, 3, 2, 1), dim1=[1, 2, 3])
    assert bench.run(ATEN.view.default, live, [2, 6]) == [[1, 1, 2, 2, 3, 3]]


def test_a_concat_keeps_its_parts_apart(bench: Any) -> None:
    left, right = bench.value((2, 2), dim1=[1, 2]), bench.value((2, 3), dim1=[3, 4, 5])
    assert bench.run(ATEN.cat.default, [left, right], 1) == [[1, 2, 3, 4, 5]]


def test_a_split_gives_parts(bench: Any) -> None:
    live = bench.value((2, 3, 4, 4), dim1=[1, 2, 3])
    first, second = bench.run(ATEN.split_with_sizes.default, live, [1, 2], 1)
    assert (first, second) == ([[[[1]]]], [[[[2]], [[3]]]])


def test_a_shuffle_moves_labels_with_channels(bench: Any) -> None:
    live = bench.value((2, 4, 1, 1), dim1=[1, 2, 3, 4])
    found = bench.run(ATEN.channel_shuffle.default, live, 2)
    assert [row[0][0] for row in found[0]] == [1, 3, 2, 4]


def test_padding_of_positions_is_the_channels_and_of_channels_stays(bench: Any) -> None:
    live = bench.value((2, 2, 3, 3), dim1=[1, 2])
    pad = ATEN.constant_pad_nd.default
    assert bench.run(pad, live, [1, 1, 1, 1]) == [[[[1]], [[2]]]]
    found = bench.run(pad, live, [0, 0, 0, 0, 1, 2])
    assert [row[0][0] for row in found[0]] == [0, 1, 2, 0, 0]


def test_a_known_index_picks_labels(bench: Any) -> None:
    live, index = bench.value((2, 3), dim1=[1, 2, 3]), bench.constant(torch.tensor([2, 0]))
    assert bench.run(ATEN.index_select.default, live, 1, index) == [[3, 1]]
    assert bench.run(ATEN.index.Tensor, live, [None, index]) == [[3, 1]]


def test_an_index_that_the_image_decides_leaves_all_whole(bench: Any) -> None:
    live = bench.value((2, 3), dim1=[1, 2, 3])
    index = bench.value((2,), dim0=[0])
    index.meta["val"] = torch.empty(2, dtype=torch.int64, device="meta")
    bench.run(ATEN.index_select.default, live, 1, index)
    assert bench.now(live) == [[0, 0, 0]]


def test_windows_of_a_channel_lie_side_by_side(bench: Any) -> None:
    live = bench.value((2, 2, 4, 4), dim1=[1, 2])
    found = bench.run(ATEN.im2col.default, live, [1, 2], [1, 1], [0, 0], [1, 1])
    assert found == [[[1], [1], [2], [2]]]

import torch

from advprune.attacks.rounds import PAIRS, PIXELS, rivals, room, rounds


def test_rounds_are_packed_as_images_leave() -> None:
    left = [PAIRS, PAIRS // 2, PAIRS // 2, 1]
    sizes: list[int] = []
    met: list[list[int]] = []
    for rows, numbers in rounds(lambda: torch.arange(left[len(sizes)]), 6, 4):
        sizes.append(len(rows))
        met.append(sorted(set(numbers.tolist())))
        assert len(set(zip(rows.tolist(), numbers.tolist(), strict=True))) == len(rows)
    assert sizes == [PAIRS, PAIRS, PAIRS, 1]
    assert met == [[0], [1, 2], [3, 4], [5]]


def test_no_round_is_made_without_images() -> None:
    assert list(rounds(lambda: torch.arange(0), 3, 8)) == []


def test_rivals_are_the_likeliest_wrong_classes() -> None:
    logits = torch.tensor([[4.0, 1.0, 3.0, 2.0], [0.0, 5.0, 2.0, 1.0]])
    labels = torch.tensor([0, 2])
    assert rivals(logits, labels, 2).tolist() == [[2, 3], [1, 3]]
    assert rivals(logits, labels, 9).tolist() == [[2, 3, 1], [1, 3, 0]]


def test_small_images_have_room_for_more_than_their_batch() -> None:
    assert room(torch.rand(5, 1, 32, 32)) == PIXELS // 1024
    assert room(torch.rand(300, 1, 32, 32)) == 300
    assert room(torch.rand(2, 3, 320, 320)) == 2
    assert room(torch.rand(0, 1, 32, 32)) >= 0

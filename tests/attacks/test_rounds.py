import torch

from advprune.attacks.rounds import rivals, rounds


def test_rounds_are_packed_as_images_leave() -> None:
    left = [4, 4, 2, 2, 1]
    seen: list[list[tuple[int, int]]] = []
    for rows, numbers in rounds(lambda: torch.arange(left[len(seen)]), 6, 4):
        seen.append(list(zip(rows.tolist(), numbers.tolist(), strict=True)))
    assert [len(pairs) for pairs in seen] == [4, 4, 4, 4]
    assert seen[2] == [(0, 2), (1, 2), (0, 3), (1, 3)]
    assert {number for pairs in seen for _, number in pairs} == set(range(6))


def test_no_round_is_made_without_images() -> None:
    assert list(rounds(lambda: torch.arange(0), 3, 8)) == []


def test_rivals_are_the_likeliest_wrong_classes() -> None:
    logits = torch.tensor([[4.0, 1.0, 3.0, 2.0], [0.0, 5.0, 2.0, 1.0]])
    labels = torch.tensor([0, 2])
    assert rivals(logits, labels, 2).tolist() == [[2, 3], [1, 3]]
    assert rivals(logits, labels, 9).tolist() == [[2, 3, 1], [1, 3, 0]]

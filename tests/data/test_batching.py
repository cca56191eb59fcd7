import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from advprune.data import Images, batches, crop, crop_flip, iterate, load
from advprune.data.batching import noisy


def numbered(number: int) -> Images:
    x = torch.arange(number, dtype=torch.uint8).view(number, 1, 1, 1)
    return Images(x, torch.arange(number), tuple(str(i) for i in range(number)), "numbered")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def labels(images: Images, size: int, *, drop_last: bool = False) -> list[list[int]]:
    return [y.tolist() for _, y in batches(images, size, drop_last=drop_last)]


def test_batches_come_in_order_with_a_smaller_last_one() -> None:
    assert labels(numbered(5), 2) == [[0, 1], [2, 3], [4]]


def test_the_smaller_last_batch_can_be_dropped() -> None:
    assert labels(numbered(5), 2, drop_last=True) == [[0, 1], [2, 3]]
    assert labels(numbered(4), 2, drop_last=True) == [[0, 1], [2, 3]]
    assert labels(numbered(1), 2, drop_last=True) == []


def test_shuffling_gives_every_image_once_with_its_label() -> None:
    pairs = list(batches(numbered(50), 7, generator=seeded(), shuffle=True))
    y = torch.cat([labels for _, labels in pairs])
    assert y.tolist() != sorted(y.tolist())
    assert sorted(y.tolist()) == list(range(50))
    x = torch.cat([images for images, _ in pairs])
    torch.testing.assert_close(x.flatten() * 255, y.float())


def test_the_generators_state_gives_the_same_epoch_again() -> None:
    images = Images(torch.rand(20, 1, 6, 6), torch.arange(20), tuple("abcdefghijklmnopqrst"), "x")
    generator = seeded()
    list(batches(images, 6, generator=generator, shuffle=True, augment="crop_flip"))
    state = generator.get_state()
    second = list(batches(images, 6, generator=generator, shuffle=True, augment="crop_flip"))
    resumed = torch.Generator()
    resumed.set_state(state)
    again = list(batches(images, 6, generator=resumed, shuffle=True, augment="crop_flip"))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(second, again, strict=True))
    assert torch.equal(generator.get_state(), resumed.get_state())


def test_global_randomness_is_left_alone() -> None:
    before = torch.get_rng_state()
    list(batches(numbered(9), 2, generator=seeded(), shuffle=True, augment="crop_flip"))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_users_own_augmentation_gets_floats_and_the_generator() -> None:
    def darken(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        assert generator.initial_seed() == 4
        return x / 2

    ((x, _),) = batches(numbered(3), 3, generator=seeded(4), augment=darken)
    torch.testing.assert_close(x.flatten() * 255, torch.tensor([0.0, 0.5, 1.0]))


def test_settings_are_refused_before_the_first_batch() -> None:
    with pytest.raises(ValueError, match="size=0; allowed"):
        batches(numbered(3), 0)
    with pytest.raises(ValueError, match="generator=, which is missing"):
        batches(numbered(3), 2, shuffle=True)
    with pytest.raises(ValueError, match=r"augmentation 'cropflip' .did you mean 'crop_flip'"):
        batches(numbered(3), 2, generator=seeded(), augment="cropflip")


def test_each_crop_is_a_window_of_the_padded_image_possibly_mirrored() -> None:
    x = torch.rand(100, 2, 5, 6) + 0.1
    padded = torch.nn.functional.pad(x, (4, 4, 4, 4))
    found = set()
    for before, after in zip(padded, crop_flip(x, seeded()), strict=True):
        for flip in (False, True):
            window = after.flip(-1) if flip else after
            found |= {
                (top, left, flip)
                for top in range(9)
                for left in range(9)
                if torch.equal(before[:, top : top + 5, left : left + 6], window)
            }
    assert {flip for _, _, flip in found} == {False, True}
    assert {top for top, _, _ in found} == set(range(9)) == {left for _, left, _ in found}


def test_each_kind_of_data_gives_the_same_batches() -> None:
    images = numbered(5)
    x, y = images.tensors()
    loader = DataLoader(TensorDataset(x, y), batch_size=2)
    for data in (images, (x, y), (images.x, y), loader, [(x[:2], y[:2]), (x[2:4], y[2:4])]):
        for (got_x, got_y), (want_x, want_y) in zip(
            iterate(data, 2), batches(images, 2), strict=False
        ):
            assert got_x.dtype == torch.float32
            assert torch.equal(got_x, want_x)
            assert torch.equal(got_y, want_y)


def test_a_name_gives_the_test_images() -> None:
    assert [len(y) for _, y in iterate("digits", 200)] == [200, 160]


def test_a_pair_is_checked_before_the_first_batch() -> None:
    with pytest.raises(ValueError, match=r"data: pixels must be in \[0, 1\]"):
        iterate((torch.full((2, 1, 4, 4), 7.0), torch.tensor([0, 1])), 2)


def test_a_loaders_batch_is_checked_and_named() -> None:
    good, bad = torch.rand(2, 1, 4, 4), torch.full((2, 1, 4, 4), 7.0)
    y = torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"batch 1: pixels must be in \[0, 1\]"):
        list(iterate([(good, y), (bad, y)], 2))


def test_a_loader_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(images, labels\) pairs; batch 0 is a Tensor"):
        list(iterate([torch.rand(2, 1, 4, 4)], 2))  # type: ignore[list-item]


def test_what_holds_no_examples_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(ValueError, match=r"A Splits holds no examples.*load\(...\).test"):
        iterate(load("digits"), 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"must give tensors .*ndarray"):
        iterate((np.zeros((2, 1, 4, 4)), np.zeros(2)), 2)  # type: ignore[arg-type]


def test_noise_comes_after_the_other_changes_and_may_leave_the_range() -> None:
    x = torch.full((200, 1, 4, 4), 0.5)
    mirrored = noisy(0.25, lambda images, _: images + 0.5)
    changed = mirrored(x, torch.Generator().manual_seed(0))
    assert changed.mean().item() == pytest.approx(1.0, abs=0.02)
    assert changed.std().item() == pytest.approx(0.25, abs=0.02)
    assert changed.max() > 1
    again = mirrored(x, torch.Generator().manual_seed(0))
    assert torch.equal(changed, again)


def test_a_shift_moves_each_image_by_at_most_one_pixel() -> None:
    x = torch.zeros(200, 1, 5, 5, dtype=torch.uint8)
    x[:, :, 2, 2] = 255
    points = Images(x, torch.zeros(200, dtype=torch.int64), ("a",), "points")
    ((shifted, _),) = batches(points, 200, generator=seeded(), augment="shift")
    assert {(int(row), int(column)) for _, _, row, column in shifted.nonzero()} == {
        (row, column) for row in range(1, 4) for column in range(1, 4)
    }


def test_a_crop_without_mirroring_shifts_each_image_by_at_most_two_pixels() -> None:
    point = torch.zeros(200, 1, 7, 7)
    point[:, :, 3, 3] = 1
    shifted = crop(point, seeded())
    assert shifted.sum(dim=(1, 2, 3)).tolist() == [1.0] * 200
    assert {(int(row), int(column)) for _, _, row, column in shifted.nonzero()} == {
        (row, column) for row in range(1, 6) for column in range(1, 6)
    }

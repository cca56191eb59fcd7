import shutil
from pathlib import Path

import pytest
from PIL import Image

from advprune.data import folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split, value in (("train", 10), ("test", 20), ("val", 30)):
        for label, shade in (("dog", 1), ("cat", 0)):
            place = tmp_path / split / label
            place.mkdir(parents=True)
            Image.new("L", (4, 4), value + shade).save(place / "1.png")
    return tmp_path


def shades(root: Path) -> dict[str, list[int]]:
    parts = folder.read(root, channels=1)
    return {split: images.x[:, 0, 0, 0].tolist() for split, images in parts.items()}


def test_classes_are_numbered_by_name(root: Path) -> None:
    train = folder.read(root)["train"]
    assert train.classes == ("cat", "dog")
    assert train.y.tolist() == [0, 1]
    assert train.x.shape == (2, 3, 4, 4)


def test_all_three_splits_are_taken_as_given(root: Path) -> None:
    assert shades(root) == {"train": [10, 11], "test": [20, 21], "validation": [30, 31]}


def test_val_takes_the_place_of_a_missing_test(root: Path) -> None:
    shutil.rmtree(root / "test")
    assert shades(root) == {"train": [10, 11], "test": [30, 31]}


def test_files_of_other_kinds_and_hidden_ones_are_passed_over(root: Path) -> None:
    (root / "train" / "cat" / "notes.txt").write_text("a cat")
    (root / "train" / "cat" / ".hidden.png").write_text("no picture")
    (root / "train" / ".cache").mkdir()
    assert shades(root)["train"] == [10, 11]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"No folder .*nowhere: it should hold train/CLASS"):
        folder.read(tmp_path / "nowhere")


def test_missing_splits_are_told_with_what_is_there(root: Path) -> None:
    (root / "train").rename(root / "training")
    with pytest.raises(FileNotFoundError, match=r"should hold train/.*holds test, training, val"):
        folder.read(root)


def test_an_empty_class_is_named(root: Path) -> None:
    (root / "test" / "dog" / "1.png").unlink()
    with pytest.raises(ValueError, match=r"test.dog holds no image files"):
        folder.read(root)


def test_a_class_that_only_one_split_has_is_refused(root: Path) -> None:
    shutil.rmtree(root / "test" / "dog")
    with pytest.raises(ValueError, match=r"each class of train \(cat, dog\), got cat"):
        folder.read(root)


def test_images_of_different_size_are_named_and_can_be_resized(root: Path) -> None:
    Image.new("L", (5, 6)).save(root / "train" / "dog" / "2.png")
    with pytest.raises(ValueError, match=r"cat.1\.png has 4x4, .*dog.2\.png has 6x5"):
        folder.read(root)
    assert folder.read(root, size=8)["train"].x.shape == (3, 3, 8, 8)
